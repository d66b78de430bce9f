package upload

import (
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// s3Error is the body of an S3 error.
type s3Error struct {
	XMLName xml.Name `xml:"Error"`
	Code    string   `xml:"Code"`
	Message string   `xml:"Message"`
}

// answerError is the error in an answer, or nil: a *smithyhttp.ResponseError, and in it a smithy.APIError if the body is an
// S3 error. An error may come with status 200, where the store had begun to answer before it failed; that is a 500.
func answerError(resp *http.Response, body []byte) error {
	good := resp.StatusCode >= 200 && resp.StatusCode < 300
	if good && len(body) == 0 {
		return nil
	}
	var answer s3Error
	if err := xml.Unmarshal(body, &answer); err != nil {
		if good { // not an error, and nothing that a PUT's answer needs
			return nil
		}
		return responseError(resp, resp.StatusCode, errors.New("an answer without an S3 error in it"))
	}
	status := resp.StatusCode
	if good {
		status = http.StatusInternalServerError
	}
	if answer.Code == "" {
		return responseError(resp, status, errors.New("an S3 error without a code"))
	}
	return responseError(resp, status, &smithy.GenericAPIError{Code: answer.Code, Message: answer.Message})
}

// responseError is what the SDK makes of an answer with an error.
func responseError(resp *http.Response, status int, err error) error {
	answered := *resp
	answered.StatusCode = status
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &answered}, Err: err}
}

// codeOf is the S3 error code in an error, or "".
func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}
