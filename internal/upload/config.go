package upload

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Defaults of Config.
const (
	DefaultRegion         = "us-east-1" // S3-compatible stores take any; AWS and R2 want their own
	DefaultAttemptTimeout = 15 * time.Second
	DefaultMaxAttempts    = 4
	DefaultMaxBackoff     = 2 * time.Second
	DefaultUploads        = 16
)

// Ways to address a bucket, by the names the AWS CLI gives them.
const (
	AddressingAuto    = "auto"    // path if an endpoint is set, virtual otherwise
	AddressingPath    = "path"    // https://endpoint/bucket/key
	AddressingVirtual = "virtual" // https://bucket.endpoint/key
)

// Config says where objects go. Only Bucket must be set; endpoint, region and credentials left empty follow the AWS
// SDK's own rules: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
// profiles, roles and so on.
type Config struct {
	Bucket string
	Prefix string // of every key this process writes; see ValidatePrefix

	Endpoint        string // base URL of an S3-compatible store
	Region          string // "" is the SDK's, and DefaultRegion if that is empty
	AccessKeyID     string // with SecretAccessKey replaces the SDK's search for credentials
	SecretAccessKey string
	SessionToken    string
	Addressing      string // "" is AddressingAuto

	Tags        map[string]string // object tags; see ParseTags
	SSE         string            // server-side encryption: "" (the bucket's own), AES256, aws:kms or aws:kms:dsse
	SSEKMSKeyID string            // only with aws:kms and aws:kms:dsse

	// AttemptTimeout bounds one attempt: the wait for an answer, and the transfer on top of it at no less than
	// minRate. The SDK has no such bound, and a store that takes connections and never answers would hold a slot
	// for good.
	AttemptTimeout time.Duration // 0 is DefaultAttemptTimeout
	MaxAttempts    int           // tries of one call; 0 is DefaultMaxAttempts. Waiting out an outage is the caller's work
	MaxBackoff     time.Duration // longest pause between them; 0 is DefaultMaxBackoff
	Uploads        int           // calls at once, so connections kept open; 0 is DefaultUploads
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	if c.Addressing == "" {
		c.Addressing = AddressingAuto
	}
	if c.AttemptTimeout == 0 {
		c.AttemptTimeout = DefaultAttemptTimeout
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = DefaultMaxAttempts
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = DefaultMaxBackoff
	}
	if c.Uploads == 0 {
		c.Uploads = DefaultUploads
	}
	return c
}

// Settings that a store may refuse, or need more rights for.
const (
	settingTags   = "S3_TAGS"
	settingSSE    = "S3_SSE"
	settingKMSKey = "S3_SSE_KMS_KEY_ID"
)

// options names the optional settings that every PUT carries.
func (c Config) options() []string {
	var set []string
	if len(c.Tags) > 0 {
		set = append(set, settingTags)
	}
	if c.SSE != "" {
		set = append(set, settingSSE)
	}
	if c.SSEKMSKeyID != "" {
		set = append(set, settingKMSKey)
	}
	return set
}

// Validate reports everything that is wrong with the configuration, by the name of the setting.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if c.Bucket == "" {
		bad("S3_BUCKET is empty: name the bucket that receives the images")
	}
	if err := ValidatePrefix(c.Prefix); err != nil {
		bad("S3_PREFIX: %w", err)
	}
	if u, err := url.Parse(c.Endpoint); c.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		bad("AWS_ENDPOINT_URL_S3 is %q: want http://host:port or https://host", c.Endpoint)
	}
	if (c.AccessKeyID == "") != (c.SecretAccessKey == "") {
		bad("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: one of them is empty")
	}
	if !slices.Contains([]string{"", AddressingAuto, AddressingPath, AddressingVirtual}, c.Addressing) {
		bad("S3_ADDRESSING_STYLE is %q: want auto, path or virtual", c.Addressing)
	}
	if err := validateTags(c.Tags); err != nil {
		bad("S3_TAGS: %w", err)
	}
	kms := c.SSE == "aws:kms" || c.SSE == "aws:kms:dsse"
	if c.SSE != "" && c.SSE != "AES256" && !kms {
		bad("S3_SSE is %q: want AES256, aws:kms or aws:kms:dsse", c.SSE)
	}
	if strings.ContainsFunc(c.SSEKMSKeyID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		bad("S3_SSE_KMS_KEY_ID is %q: want a key's id, its ARN or alias/name", c.SSEKMSKeyID)
	}
	if c.SSEKMSKeyID != "" && !kms {
		bad("S3_SSE_KMS_KEY_ID is set: it needs S3_SSE=aws:kms or aws:kms:dsse")
	}
	if c.AttemptTimeout < 0 || c.MaxAttempts < 0 || c.MaxBackoff < 0 || c.Uploads < 0 {
		bad("timeouts, attempts and uploads of the store: want 0 (the default) or more")
	}
	return errors.Join(errs...)
}

// Limits of object tags, from the S3 API reference.
const (
	maxTags     = 10
	maxTagKey   = 128
	maxTagValue = 256
)

// ParseTags reads S3_TAGS: key=value pairs between commas, as in project=cats,stage=dev.
func ParseTags(s string) (map[string]string, error) {
	tags := map[string]string{}
	if strings.TrimSpace(s) == "" {
		return tags, nil
	}
	for pair := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(pair, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" {
			return nil, fmt.Errorf("reading the tag %q: want key=value", pair)
		}
		if _, twice := tags[key]; twice {
			return nil, fmt.Errorf("reading the tag %q: the key is given twice", pair)
		}
		tags[key] = value
	}
	return tags, validateTags(tags)
}

// validateTags reports tags that S3 would refuse with every PUT.
func validateTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fmt.Errorf("%d tags: S3 takes %d", len(tags), maxTags)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		if key == "" || utf8.RuneCountInString(key) > maxTagKey || utf8.RuneCountInString(value) > maxTagValue {
			return fmt.Errorf("the tag %q: want a key of 1 to %d characters and a value of at most %d", key, maxTagKey, maxTagValue)
		}
		if !utf8.ValidString(key + value) {
			return fmt.Errorf("the tag %q is not UTF-8", key)
		}
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return fmt.Errorf("the tag %q: keys that begin with aws: are AWS's own", key)
		}
		if odd := strings.TrimFunc(key+value, inTag); odd != "" {
			return fmt.Errorf("the tag %q has %q in it: S3 takes letters, digits, spaces and + - = . _ : / @", key, odd)
		}
	}
	return nil
}

// inTag reports a character that S3 takes in a tag.
func inTag(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.Z) || strings.ContainsRune("+-=._:/@", r)
}

// tagging is the tags as the x-amz-tagging header wants them: a URL's query, with spaces as %20, since not everyone reads
// "+" as one.
func tagging(tags map[string]string) string {
	query := url.Values{}
	for key, value := range tags {
		query.Set(key, value)
	}
	return strings.ReplaceAll(query.Encode(), "+", "%20")
}
