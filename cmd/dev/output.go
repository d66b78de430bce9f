package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the formats that a worker writes
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"github.com/stipple-ai/stipple/internal/gallery"
)

// What a demo leaves in its folder.
const (
	imagesDir = "images"
	sheetFile = "contact-sheet.png"
	pageFile  = "index.html"
)

// checkOut refuses a folder that holds something else than an earlier demo, which writeOutput would replace.
func checkOut(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("DEMO_OUT (--out): %w", err)
	}
	for _, e := range entries {
		switch e.Name() {
		case imagesDir, sheetFile, pageFile:
		default:
			return fmt.Errorf("DEMO_OUT (--out): %s holds %s, so it is not the folder of an earlier demo; choose another", dir, e.Name())
		}
	}
	return nil
}

// writeOutput writes the pictures as they were stored, the contact sheet and the page into dir, in place of those
// of an earlier demo.
func writeOutput(dir string, page gallery.Page) error {
	images := filepath.Join(dir, imagesDir)
	if err := os.RemoveAll(images); err != nil {
		return fmt.Errorf("removing the pictures of an earlier demo: %w", err)
	}
	if err := os.MkdirAll(images, 0o755); err != nil {
		return fmt.Errorf("making the folder for the pictures: %w", err)
	}
	sheet := gallery.Sheet{Title: "stipple", Subtitle: page.Title}
	for i, p := range page.Pictures {
		if p.Failed() {
			continue
		}
		decoded, format, err := image.Decode(bytes.NewReader(p.Data))
		if err != nil {
			return fmt.Errorf("reading %s back: %w", p.Location, err)
		}
		name := fmt.Sprintf("%02d-%s.%s", i+1, slug(p.Prompt), format)
		if err := os.WriteFile(filepath.Join(images, name), p.Data, 0o644); err != nil {
			return fmt.Errorf("writing a picture: %w", err)
		}
		sheet.Tiles = append(sheet.Tiles, gallery.Tile{Image: decoded, Caption: p.Prompt, Note: fmt.Sprintf("seed %d", p.Seed)})
	}
	if err := writeSheet(filepath.Join(dir, sheetFile), sheet); err != nil {
		return err
	}
	var html bytes.Buffer
	if err := page.Render(&html); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, pageFile), html.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// writeSheet writes a contact sheet as PNG; one without pictures is left out, and so is that of an earlier demo.
func writeSheet(path string, sheet gallery.Sheet) error {
	if len(sheet.Tiles) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing the contact sheet of an earlier demo: %w", err)
		}
		return nil
	}
	drawn, err := sheet.Draw()
	if err != nil {
		return err
	}
	var file bytes.Buffer
	if err := png.Encode(&file, drawn); err != nil {
		return fmt.Errorf("encoding the contact sheet: %w", err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the contact sheet: %w", err)
	}
	return nil
}

// slug makes the part of a file's name that tells what is on the picture: lower-case letters, digits and dashes,
// at most 60; "picture" where nothing is left of the prompt.
func slug(prompt string) string {
	words := strings.FieldsFunc(strings.ToLower(prompt), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	name := strings.Join(words, "-")
	if len(name) > 60 {
		name = strings.TrimRight(name[:60], "-")
	}
	if name == "" {
		return "picture"
	}
	return name
}
