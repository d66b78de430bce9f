package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// mpl asks, beside its text, that whoever gets the program can get the module's source: the notices name its place. It is for
// cmd/dev alone (the store in it brings it along), which a test holds.
const mpl = "MPL-2.0"

// accepted are the licences, by their SPDX names, under which something may be linked into a program that is given away under
// Apache-2.0: each asks for its text to come along, and none but [mpl] for more.
var accepted = []string{mpl, "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "CC0-1.0", "ISC", "MIT", "Unlicense", "Zlib"}

// phrases tell a licence by words of its text, which [words] has made comparable. The first that fits wins among those of one
// family, so the narrower stand first.
var phrases = []struct {
	licence string
	all     []string
}{
	{mpl, []string{"mozilla public license version 2 0"}}, // before those that its text names
	{"AGPL-3.0", []string{"gnu affero general public license version 3"}},
	{"LGPL", []string{"gnu lesser general public license version"}},
	{"GPL", []string{"gnu general public license version"}},
	{"EPL", []string{"eclipse public license"}},
	{"SSPL-1.0", []string{"server side public license"}},
	{"BUSL-1.1", []string{"business source license 1 1"}},
	{"CC-BY", []string{"creative commons attribution"}},
	{"Apache-2.0", []string{"apache license version 2 0"}},
	{"MIT", []string{"permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation files"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "neither the name"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "the names of its contributors may not be used"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms"}},
	{"ISC", []string{"permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted provided that"}},
	{"ISC", []string{"permission to use copy modify and distribute this software for any purpose with or without fee is hereby granted provided that"}},
	{"0BSD", []string{"permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted the software is provided"}},
	{"Zlib", []string{"this software is provided as is without any express or implied warranty", "altered source versions must be plainly marked"}},
	{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}},
	{"CC0-1.0", []string{"cc0 1 0 universal"}},
	{"BlueOak-1.0.0", []string{"blue oak model license version 1 0 0"}},
}

// classify names the licences whose text stands in a file, none if it knows none.
func classify(text string) []string {
	flat := words(text)
	var found []string
	for _, p := range phrases {
		fits := !slices.ContainsFunc(p.all, func(phrase string) bool { return !strings.Contains(flat, phrase) })
		if fits && !slices.ContainsFunc(found, func(other string) bool { return family(other) == family(p.licence) }) {
			found = append(found, p.licence)
		}
	}
	return found
}

// family is what only one member of is meant by one text.
func family(licence string) string {
	switch licence {
	case "BSD-2-Clause", "BSD-3-Clause":
		return "BSD"
	case mpl, "LGPL", "GPL", "AGPL-3.0":
		return "copyleft"
	}
	return licence
}

// words is text without case, punctuation and line breaks.
func words(text string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), " ")
}

// allowed holds that every module has a licence, and each of its licences is accepted.
func allowed(modules []module) error {
	var errs []error
	for _, m := range modules {
		names := m.licences()
		if len(names) == 0 {
			errs = append(errs, fmt.Errorf("%s %s has no licence that is known: read %s, and add its phrase to licence.go if it may be linked", m.Path, m.Version, m.files()))
		}
		for _, l := range names {
			if !slices.Contains(accepted, l) {
				errs = append(errs, fmt.Errorf("%s %s is under %s, which is not accepted: link something else", m.Path, m.Version, l))
			}
		}
	}
	return errors.Join(errs...)
}
