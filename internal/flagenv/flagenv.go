// Package flagenv gives every command-line flag a fallback in the environment, so that -h is the whole manual: --nats-url reads NATS_URL.
package flagenv

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

const (
	annotationName   = "flagenv.name"
	annotationSecret = "flagenv.secret"
)

// Name returns the environment variable of a flag: upper case, dashes become underscores.
func Name(flag string) string {
	return strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Bind makes flag read variable instead of the name that [Name] would give it.
func Bind(fs *pflag.FlagSet, flag, variable string) {
	annotate(fs, flag, annotationName, variable)
}

// Secret keeps the value of flag out of every message and of the printed defaults.
func Secret(fs *pflag.FlagSet, flag string) {
	annotate(fs, flag, annotationSecret, "true")
}

// annotate panics for a flag that is not there: the caller misspelt it, and every start would show it.
func annotate(fs *pflag.FlagSet, flag, key, value string) {
	if err := fs.SetAnnotation(flag, key, []string{value}); err != nil {
		panic(err)
	}
}

// Variable returns the environment variable of a flag that [Describe] has described, and "" for any other.
func Variable(f *pflag.Flag) string {
	if v := variable(f); v != "" && strings.HasSuffix(f.Usage, suffix(v)) {
		return v
	}
	return ""
}

// Usage returns what a usage text says without the variable that [Describe] has put behind it.
func Usage(f *pflag.Flag, usage string) string {
	if v := variable(f); v != "" {
		return strings.TrimSuffix(usage, suffix(v))
	}
	return usage
}

// IsSecret reports whether [Secret] was said of f.
func IsSecret(f *pflag.Flag) bool { return len(f.Annotations[annotationSecret]) > 0 }

// suffix is what Describe puts behind a usage.
func suffix(variable string) string { return " [$" + variable + "]" }

// variable returns the environment variable of f, or "" for a flag that has none.
func variable(f *pflag.Flag) string {
	if f.Name == "help" || f.Name == "version" {
		return ""
	}
	if v := f.Annotations[annotationName]; len(v) > 0 {
		return v[0]
	}
	return Name(f.Name)
}

// Describe appends the variable's name to the usage of every flag, so that -h shows both. Call it once, after the flags are defined.
func Describe(fs *pflag.FlagSet) {
	fs.VisitAll(func(f *pflag.Flag) {
		if v := variable(f); v != "" {
			f.Usage += suffix(v)
		}
	})
}

// Apply sets every flag that the command line left out from its variable, where that is not empty. It tries all of them and joins
// the errors, each naming the variable.
func Apply(fs *pflag.FlagSet, getenv func(string) string) error {
	var errs []error
	fs.VisitAll(func(f *pflag.Flag) {
		name := variable(f)
		if f.Changed || name == "" {
			return
		}
		value := getenv(name)
		if value == "" {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			if IsSecret(f) {
				err = fmt.Errorf("not a valid %s (the value is not shown)", f.Value.Type())
			}
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	})
	return errors.Join(errs...)
}
