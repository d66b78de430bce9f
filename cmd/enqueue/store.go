package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/flagenv"
	"github.com/stipple-ai/stipple/internal/upload"
)

// storeFlags say where pictures are.
type storeFlags struct {
	config   upload.Config
	endpoint string // AWS_ENDPOINT_URL, which AWS_ENDPOINT_URL_S3 goes before
}

func (f *storeFlags) define(fs *pflag.FlagSet) {
	c := &f.config
	fs.StringVar(&c.Bucket, "s3-bucket", "", "bucket of the pictures; default the one that each result names")
	fs.StringVar(&c.Prefix, "s3-prefix", "", "prefix of every key, ending in /; default <queue-prefix>/")
	fs.StringVar(&c.Addressing, "s3-addressing-style", upload.AddressingAuto, "path, virtual, or auto: path where an endpoint is set")
	fs.StringVar(&c.Endpoint, "aws-endpoint-url-s3", "", "base URL of an S3-compatible store; default AWS")
	fs.StringVar(&f.endpoint, "aws-endpoint-url", "", "the same, for all of AWS")
	fs.StringVar(&c.Region, "aws-region", "", "region; default by the AWS SDK's own rules, which hold for what is not a flag here, too")
	fs.StringVar(&c.AccessKeyID, "aws-access-key-id", "", "key of the store")
	fs.StringVar(&c.SecretAccessKey, "aws-secret-access-key", "", "its secret; better in the environment")
	fs.StringVar(&c.SessionToken, "aws-session-token", "", "its session token; better in the environment")
	flagenv.Secret(fs, "aws-secret-access-key")
	flagenv.Secret(fs, "aws-session-token")
}

// keyPrefix is what every key begins with.
func (f *storeFlags) keyPrefix(queuePrefix string) string {
	if f.config.Prefix == "" && queuePrefix != "" {
		return queuePrefix + "/"
	}
	return f.config.Prefix
}

// complete fills in what follows from other settings.
func (f *storeFlags) complete(queuePrefix string) {
	c := &f.config
	c.Prefix = f.keyPrefix(queuePrefix)
	if c.Endpoint == "" {
		c.Endpoint = f.endpoint
	}
}

// check completes the settings and judges them for a command that may reach the store. Where no bucket is set the
// results name it.
func (f *storeFlags) check(queuePrefix string) error {
	f.complete(queuePrefix)
	judged := f.config
	if judged.Bucket == "" {
		judged.Bucket = "named-by-results"
	}
	return judged.Validate()
}

// checkKeys is check for a command that does no more than print keys.
func (f *storeFlags) checkKeys(queuePrefix string) error {
	f.complete(queuePrefix)
	if err := upload.ValidatePrefix(f.config.Prefix); err != nil {
		return fmt.Errorf("S3_PREFIX (--s3-prefix): %w", err)
	}
	return nil
}

// downloadFlags say where pictures are and where they shall go.
type downloadFlags struct {
	storeFlags
	out string
}

func (f *downloadFlags) define(fs *pflag.FlagSet) {
	fs.StringVar(&f.out, "out", "", "download each picture into this folder as it lands, with a manifest.jsonl; implies --wait, and goes on with what is there")
	own(fs, "out")
	f.storeFlags.define(fs)
}

// check judges the settings, and completes them.
func (f *downloadFlags) check(queuePrefix string) error {
	if f.out == "" {
		return f.checkKeys(queuePrefix)
	}
	return f.storeFlags.check(queuePrefix)
}
