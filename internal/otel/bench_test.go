package otel

import (
	"context"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// job makes the spans and measurements of one job, as the design's tree has them.
func job(ctx context.Context, tel *Telemetry, header map[string][]string) {
	tracer, m := tel.Tracer(), tel.Metrics
	ctx, root := tel.Propagator.StartConsumer(tel.Propagator.Extract(ctx, header, nil), tracer, SpanTextToImage, trace.WithAttributes(
		MessagingSystem.String(SystemNATS), MessagingOperationName.String(OperationProcess), MessagingOperationType.String(OperationProcess),
		MessagingDestination.String("jobs.normal.tiny-emoji.b1"), MessagingConsumerGroup.String("w-normal-tiny-emoji"),
		MessagingMessageID.String("b1/17"), NATSStream.String("JOBS"), NATSSequence.Int(17), NATSDeliveryCount.Int(1)))
	m.Delivered(ctx, "JOBS", "w-normal-tiny-emoji", 1)
	m.InFlight(ctx, 1)
	root.SetAttributes(ModelName.String("tiny-emoji"), PromptLength.Int(42), NumInferenceSteps.Int(20), GuidanceScale.Float64(7.5),
		JobID.String("b1/17"), Scheduler.String("euler_a"), ImageWidth.Int(128), ImageHeight.Int(128), JobQueueTime.Float64(.25))
	m.QueueTime(ctx, "tiny-emoji", 250*time.Millisecond)

	inner, inference := tracer.Start(ctx, SpanInference, trace.WithAttributes(ModelName.String("tiny-emoji"), PromptLength.Int(42),
		NumInferenceSteps.Int(20), GuidanceScale.Float64(7.5), GenAIOperationName.String(GenAIGenerateContent), GenAIOutputType.String(GenAIImage)))
	for _, stage := range []string{SpanTokenize, SpanTextEncode, SpanDenoise, SpanVAEDecode} {
		sctx, span := tracer.Start(inner, stage)
		if stage == SpanDenoise {
			for range 20 {
				m.Call(context.Background(), "tiny-emoji", 2, 10*time.Millisecond)
			}
			span.SetAttributes(InferenceCalls.Int(20), InferenceRowsMean.Float64(2), InferenceWait.Float64(.01))
		}
		m.Stage(sctx, "tiny-emoji", stage, 10*time.Millisecond)
		span.End()
	}
	m.Inference(inner, "tiny-emoji", "", 40*time.Millisecond)
	inference.End()

	uctx, upload := tracer.Start(ctx, SpanUpload, trace.WithAttributes(S3Bucket.String("images"), S3Key.String("b1/00000017-0123456789abcdef.png")))
	_, put := tracer.Start(uctx, SpanPutObject, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		RPCSystem.String(RPCSystemAWS), RPCMethod.String("PutObject"), ServerAddress.String("s3.local"), HTTPStatusCode.Int(200)))
	put.End()
	m.Upload(uctx, "tiny-emoji", "", 0, 5*time.Millisecond)
	m.Stored(uctx, "tiny-emoji", 20_000)
	upload.End()

	m.JobDone(ctx, JobStats{Model: "tiny-emoji", Outcome: OutcomeCompleted, Stream: "JOBS", Consumer: "w-normal-tiny-emoji", Duration: 50 * time.Millisecond})
	m.InFlight(ctx, -1)
	root.SetAttributes(JobOutcome.String(OutcomeCompleted))
	root.End()
}

// BenchmarkJob is what the eight spans and the metrics of one job cost (the
// budget is 50 µs of CPU): disabled, made and not exported, and exported,
// which includes encoding and gzip, to a collector that only reads.
func BenchmarkJob(b *testing.B) {
	for _, bench := range []struct {
		name string
		vars map[string]string
	}{
		{"disabled", map[string]string{"OTEL_SDK_DISABLED": "true"}},
		{"unsampled", map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}},
		{"made", nil},
		{"exported", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector", "OTEL_BSP_MAX_QUEUE_SIZE": "1000000"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			tel, err := Setup(b.Context(), Options{Getenv: getenv(bench.vars), Transport: reads})
			if err != nil {
				b.Fatal(err)
			}
			header := map[string][]string{"traceparent": {parent}}
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				job(b.Context(), tel, header)
			}
			if err := tel.Shutdown(context.Background()); err != nil { // within the time measured: what is queued is part of the cost
				b.Fatal(err)
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// reads is a collector that only reads.
var reads = roundTrip(func(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	return ok(), err
})

// cpu is the processor time that the process has used, over all its threads.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
