// What the openai SDK for Go makes of replies: `objects BASE_URL MODE`, a JSON value a line.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(value any) {
	text, err := json.Marshal(value)
	check(err)
	fmt.Println(string(text))
}

func each[T any](stream *ssestream.Stream[T]) {
	for stream.Next() {
		show(stream.Current())
	}
	check(stream.Err())
}

func main() {
	url, mode := os.Args[1], os.Args[2]
	client := openai.NewClient(
		option.WithBaseURL(url+"/v1"), option.WithAPIKey("test-key"), option.WithMaxRetries(0))
	chat := openai.ChatCompletionNewParams{
		Model:    "m",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("x")},
	}
	ctx := context.Background()
	switch mode {
	case "chat":
		reply, err := client.Chat.Completions.New(ctx, chat)
		check(err)
		show(reply)
	case "chat-stream":
		each(client.Chat.Completions.NewStreaming(ctx, chat))
	case "responses-stream":
		input := responses.ResponseNewParamsInputUnion{OfString: openai.String("x")}
		params := responses.ResponseNewParams{Model: "m", Input: input}
		each(client.Responses.NewStreaming(ctx, params))
	}
}
