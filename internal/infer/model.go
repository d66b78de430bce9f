package infer

import (
	"context"

	"github.com/stipple-ai/stipple/internal/infer/schedule"
)

// Model is one diffusion pipeline. Its methods may be called from several goroutines at once; none keeps what it was handed after it returned.
// ort.Pipeline is the real one.
type Model interface {
	TextEncoder
	Denoiser
	Decoder
	Info() Info
}

// TextEncoder turns text into what the UNet attends to.
type TextEncoder interface {
	// Tokenize never fails. negative says that the text stands for what the picture should not be: some models take zeros for an empty one.
	Tokenize(text string, negative bool) Tokens
	// Encode runs the text encoders. The embedding is shared between samples and never changed.
	Encode(ctx context.Context, t Tokens) (*Embedding, error)
}

// Denoiser is the UNet.
type Denoiser interface {
	// Denoise predicts the noise (or what the model predicts instead) of every row, and always waits for the native call to return:
	// when ctx ends it asks the call to stop and still waits. On an error the contents of Out are undefined and no other field has changed.
	Denoise(ctx context.Context, c *Call) error
}

// Decoder is the VAE.
type Decoder interface {
	// Decode turns latents [C,H,W] into pixels [3,H·f,W·f], about -1 to 1. The latents are the sampler's: the model scales them itself.
	Decode(ctx context.Context, latents []float32, s Size) ([]float32, error)
	// DecodeFloat32 does the same in float32, where Info.Float32Decoder says that the model can: for a picture that overflowed in Decode.
	DecodeFloat32(ctx context.Context, latents []float32, s Size) ([]float32, error)
}

// Info is what the engine has to know about a model.
type Info struct {
	LatentChannels int
	ScaleFactor    int // pixels a latent, each way
	SizeMultiple   int // pixels: width and height are multiples of it, and it is one of ScaleFactor
	Width, Height  int // the model's own size in pixels
	// MinSide and MaxSide bound width and height, in pixels, where the device was prepared for a range of sizes; 0 is no bound.
	MinSide, MaxSide int
	Schedule         schedule.Config
	// GuidanceEmbedded: the UNet takes the guidance scale as an input, so a sample has one row whatever its scale.
	GuidanceEmbedded bool
	// OneSample: the UNet's timestep is a scalar, so only rows of one sample share a call.
	OneSample bool
	// Float32Decoder: the model has a decoder in float32 beside the one of Decode.
	Float32Decoder bool
}

// Tokens are token ids, one list for each text encoder of the model.
type Tokens struct {
	IDs       [][]int64
	Count     int  // ids before truncation and padding, begin and end included
	Truncated bool // the text was longer than the model reads
	Zero      bool // the embedding of an empty negative prompt is all zeros
	Negative  bool // of a negative prompt, in a model that encodes those otherwise
}

// Embedding is the text's part of the UNet's inputs for one row.
type Embedding struct {
	Hidden []float32 // encoder_hidden_states [tokens, dim]
	Pooled []float32 // text_embeds [dim] (SDXL), or nil
}

func (e *Embedding) bytes() int64 { return 4 * int64(len(e.Hidden)+len(e.Pooled)) }

// Row is one row of a UNet call. All slices but Out are shared and must not be changed.
type Row struct {
	Latent   []float32 // [C,H,W], as the sampler scaled it
	Timestep float32
	Text     *Embedding
	Guidance float32   // for a UNet that takes it as an input
	Out      []float32 // [C,H,W], filled by Denoise
}

// Call is some rows of one latent size. Pad is the row count that the call is padded to, at least len(Rows).
type Call struct {
	Size Size
	Rows []Row
	Pad  int
}
