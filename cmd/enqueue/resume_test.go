package main

import "testing"

func TestResumeCommand(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"a cat"}, "enqueue --batch b --model m 'a cat'"},
		{[]string{"--batch", "b", "-f", "x"}, "enqueue --model m --batch b -f x"},
		{[]string{"--batch=b"}, "enqueue --model m --batch=b"},
		{[]string{"--", "--batch"}, "enqueue --batch b --model m -- --batch"},
		{[]string{"--aws-secret-access-key", "hunter2", "a", "--aws-session-token=hunter2"}, "enqueue --batch b --model m a"},
		{[]string{"--nats-url", "nats://u:hunter2@h", "--nats-url=nats://hunter2@h", "--nats-url", "nats://h"}, "enqueue --batch b --model m --nats-url nats://h"},
		{[]string{"--", "--aws-secret-access-key", "a"}, "enqueue --batch b --model m -- --aws-secret-access-key a"},
		{[]string{"--aws-session-token"}, "enqueue --batch b --model m"},
	}
	for _, tt := range tests {
		if got := resumeCommand(tt.args, "b", "m"); got != tt.want {
			t.Errorf("%q: %s, want %s", tt.args, got, tt.want)
		}
	}
	if got := resumeCommand([]string{"a"}, "b", ""); got != "enqueue --batch b a" {
		t.Errorf("without a model: %s", got)
	}
}
