package otel

import "go.opentelemetry.io/otel/attribute"

// Names of spans.
const (
	SpanEnqueue     = "enqueue"       // root of the command
	SpanTextToImage = "text-to-image" // CONSUMER, one for each attempt
	SpanInference   = "inference"     // in text-to-image
	SpanTokenize    = "tokenize"      // in inference, as the next three
	SpanTextEncode  = "text_encode"
	SpanDenoise     = "denoise"
	SpanVAEDecode   = "vae_decode"
	SpanUpload      = "upload"       // in text-to-image; image encoding and PUT
	SpanPutObject   = "S3.PutObject" // CLIENT, in upload
	SpanStartup     = "startup"      // root of a trace of its own
	SpanLoadModel   = "load_model"   // in startup, as the next
	SpanWarmup      = "warmup"
	SpanDrain       = "drain" // root of a trace of its own
)

// Keys of attributes, in one place and as strings of our own: the Go packages
// of the conventions drop names between versions (gen_ai went with 1.42), and
// none has NATS. Prompts, presigned URLs and credentials have no key.

// The job and its model; the first four names are fixed.
const (
	ModelName         = attribute.Key("model.name")          // string
	PromptLength      = attribute.Key("prompt.length")       // int, code points: utf8.RuneCountInString
	NumInferenceSteps = attribute.Key("num_inference_steps") // int, after defaults
	GuidanceScale     = attribute.Key("guidance_scale")      // double, also when integral
	PromptTruncated   = attribute.Key("prompt.truncated")    // bool
	ModelRevision     = attribute.Key("model.revision")      // string, the model's digest
	Scheduler         = attribute.Key("scheduler")           // string
	ImageWidth        = attribute.Key("image.width")         // int, pixels
	ImageHeight       = attribute.Key("image.height")        // int, pixels
	ImageCount        = attribute.Key("image.count")         // int
	JobID             = attribute.Key("job.id")              // string, <batch>/<index>
	JobOutcome        = attribute.Key("job.outcome")         // string, an Outcome
	JobQueueTime      = attribute.Key("job.queue_time")      // double, s, never below 0
)

// Values of [JobOutcome], and of the same attribute of worker.jobs.
const (
	OutcomeCompleted  = "completed"
	OutcomeDuplicate  = "duplicate"   // done before: acknowledged without work
	OutcomeRetry      = "retry"       // failed, handed back
	OutcomeDeadLetter = "dead_letter" // failed for the last time
	OutcomeInvalid    = "invalid"     // invalid_job, dead-lettered at once
	OutcomeRequeued   = "requeued"    // handed back without failing: leaving, or a newer version
	OutcomeCancelled  = "cancelled"
	OutcomeExpired    = "expired"
)

// The queue, on publish and text-to-image.
const (
	MessagingSystem         = attribute.Key("messaging.system")                  // SystemNATS
	MessagingOperationName  = attribute.Key("messaging.operation.name")          // string
	MessagingOperationType  = attribute.Key("messaging.operation.type")          // string
	MessagingDestination    = attribute.Key("messaging.destination.name")        // string, the subject
	MessagingTemplate       = attribute.Key("messaging.destination.template")    // string, jobs.<priority>.<model>.*
	MessagingConsumerGroup  = attribute.Key("messaging.consumer.group.name")     // string, the durable consumer
	MessagingMessageID      = attribute.Key("messaging.message.id")              // string, Nats-Msg-Id
	MessagingConversationID = attribute.Key("messaging.message.conversation_id") // string, the job's id
	MessagingBodySize       = attribute.Key("messaging.message.body.size")       // int, By
	MessagingBatchCount     = attribute.Key("messaging.batch.message_count")     // int, on spans of many messages alone
	NATSStream              = attribute.Key("messaging.nats.stream")             // string
	NATSSequence            = attribute.Key("messaging.nats.sequence")           // int
	NATSDeliveryCount       = attribute.Key("messaging.nats.delivery_count")     // int, from 1
	NATSDuplicate           = attribute.Key("messaging.nats.duplicate")          // bool, of a PubAck
	ServerAddress           = attribute.Key("server.address")                    // string
	ServerPort              = attribute.Key("server.port")                       // int

	SystemNATS       = "nats"    // a custom value: the conventions have none for it
	OperationPublish = "publish" // a name; its type is OperationSend
	OperationSend    = "send"    // a type
	OperationReceive = "receive" // name and type
	OperationProcess = "process" // name and type
	OperationAck     = "ack"     // names; their type is OperationSettle
	OperationNak     = "nak"
	OperationTerm    = "term"
	OperationSettle  = "settle" // a type
)

// The model at work, on inference and below.
const (
	GenAIOperationName   = attribute.Key("gen_ai.operation.name")        // GenAIGenerateContent
	GenAIOutputType      = attribute.Key("gen_ai.output.type")           // GenAIImage
	GenAIRequestModel    = attribute.Key("gen_ai.request.model")         // string
	GenAIProviderName    = attribute.Key("gen_ai.provider.name")         // ProviderONNXRuntime
	GenAIRequestSeed     = attribute.Key("gen_ai.request.seed")          // int
	GenAIInputTokens     = attribute.Key("gen_ai.usage.input_tokens")    // int, on tokenize
	InferenceDevice      = attribute.Key("inference.device")             // string: cpu, cuda:0, …
	InferenceProvider    = attribute.Key("inference.execution_provider") // string: cpu, cuda, tensorrt
	InferenceCalls       = attribute.Key("inference.calls")              // int, on denoise: UNet calls its rows rode in
	InferenceRowsMean    = attribute.Key("inference.rows.mean")          // double, rows of these calls
	InferenceWait        = attribute.Key("inference.wait")               // double, s, ready but not in a call
	DenoiseStepDuration  = attribute.Key("denoise.step.duration.mean")   // double, s
	GenAIGenerateContent = "generate_content"
	GenAIImage           = "image"
	ProviderONNXRuntime  = "onnxruntime"
)

// The store, on upload and S3.PutObject.
const (
	S3Bucket       = attribute.Key("aws.s3.bucket")             // string
	S3Key          = attribute.Key("aws.s3.key")                // string
	AWSRequestID   = attribute.Key("aws.request_id")            // string
	CloudRegion    = attribute.Key("cloud.region")              // string
	RPCSystem      = attribute.Key("rpc.system")                // RPCSystemAWS
	RPCSystemName  = attribute.Key("rpc.system.name")           // RPCSystemAWS, the newer key
	RPCMethod      = attribute.Key("rpc.method")                // string, PutObject
	HTTPStatusCode = attribute.Key("http.response.status_code") // int
	UploadSize     = attribute.Key("upload.size")               // int, By
	UploadAttempts = attribute.Key("upload.attempts")           // int, from 1
	ContentType    = attribute.Key("content.type")              // string
	RPCSystemAWS   = "aws-api"
)

// Leaving, on drain.
const (
	DrainReason       = attribute.Key("drain.reason")       // string: the signal
	DrainFinished     = attribute.Key("drain.finished")     // int, jobs
	DrainCheckpointed = attribute.Key("drain.checkpointed") // int, jobs
	DrainHandedBack   = attribute.Key("drain.handed_back")  // int, jobs
)

// Checkpoints: ResumedStep on inference, the others on the event EventCheckpoint of text-to-image.
const (
	ResumedStep     = attribute.Key("inference.resumed_step") // int, steps done before
	CheckpointStep  = attribute.Key("checkpoint.step")        // int, steps done
	CheckpointSize  = attribute.Key("checkpoint.size")        // int, By
	EventCheckpoint = "checkpoint"
)

// Errors.
const (
	ErrorType           = attribute.Key("error.type") // string, the design's closed list
	ExceptionType       = attribute.Key("exception.type")
	ExceptionMessage    = attribute.Key("exception.message")
	ExceptionStacktrace = attribute.Key("exception.stacktrace")
)

// Keys of metrics that spans do not have.
const (
	stageKey  = attribute.Key("stage")  // a stage's span name
	signalKey = attribute.Key("signal") // traces, metrics, logs
	reasonKey = attribute.Key("reason") // why telemetry was lost
)
