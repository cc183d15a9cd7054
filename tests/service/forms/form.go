// SPDX-License-Identifier: MIT

// Posts a form with mime/multipart: form URL KEY FILE.
package main

import (
	"bytes"
	"io"
	"log"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	url, key, path := os.Args[1], os.Args[2], os.Args[3]
	song, err := os.ReadFile(path)
	check(err)
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", filepath.Base(path))
	check(err)
	_, err = part.Write(song)
	check(err)
	check(form.WriteField("stems", "vocals, accompaniment"))
	check(form.Close())
	request, err := http.NewRequest("POST", url, &body)
	check(err)
	request.Header.Set("Content-Type", form.FormDataContentType())
	request.Header.Set("X-API-KEY", key)
	answer, err := http.DefaultClient.Do(request)
	check(err)
	_, err = io.Copy(os.Stdout, answer.Body)
	check(err)
}
