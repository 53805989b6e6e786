// The echo service on grpc-go, for tests: who answered, and the payload. Builds with Debian's packages
// golang-go and golang-google-grpc-dev, without a module proxy.
package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// raw hands messages on as they are: this program needs no generated code.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v interface{}) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v interface{}) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// bytesField is a length-delimited field (Protobuf's wire format).
func bytesField(number byte, value []byte) []byte {
	var size [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(size[:], uint64(len(value)))
	return append(append([]byte{number<<3 | 2}, size[:n]...), value...)
}

// payloadOf returns EchoRequest.payload, which must be the message's only field.
func payloadOf(message []byte) ([]byte, error) {
	if len(message) == 0 {
		return nil, nil
	}
	size, n := binary.Uvarint(message[1:])
	if message[0] != 1<<3|2 || n <= 0 || uint64(len(message)-1-n) != size {
		return nil, errors.New("not an EchoRequest with a payload only")
	}
	return message[1+n:], nil
}

type server struct {
	identity []byte
	delay    time.Duration
}

func (s *server) echo(ctx context.Context, request *[]byte) (*[]byte, error) {
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	if given, ok := metadata.FromIncomingContext(ctx); ok && len(given.Get("x-fail")) > 0 {
		return nil, status.Error(codes.ResourceExhausted, given.Get("x-fail")[0])
	}
	payload, err := payloadOf(*request)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	answer := bytesField(1, s.identity)
	if len(payload) > 0 {
		answer = append(answer, bytesField(2, payload)...)
	}
	return &answer, nil
}

func handle(srv interface{}, ctx context.Context, decode func(interface{}) error,
	_ grpc.UnaryServerInterceptor) (interface{}, error) {
	request := new([]byte)
	if err := decode(request); err != nil {
		return nil, err
	}
	return srv.(*server).echo(ctx, request)
}

func main() {
	pod := flag.String("pod", "go-0", "who answers")
	streams := flag.Uint("max-streams", 0, "MAX_CONCURRENT_STREAMS; 0: no limit")
	age := flag.Duration("max-age", 0, "of connections; 0: no limit")
	delay := flag.Duration("delay", 0, "of every answer")
	cert := flag.String("cert", "", "PEM file; TLS if given")
	key := flag.String("key", "", "PEM file")
	flag.Parse()

	encoding.RegisterCodec(raw{})
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(64 << 20)}
	if *streams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(uint32(*streams)))
	}
	if *age > 0 {
		options = append(options, grpc.KeepaliveParams(
			keepalive.ServerParameters{MaxConnectionAge: *age, MaxConnectionAgeGrace: 5 * time.Second}))
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	grpcServer := grpc.NewServer(options...)
	grpcServer.RegisterService(&grpc.ServiceDesc{
		ServiceName: "whichpod.echo.v1.EchoService",
		HandlerType: (*interface{})(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: handle}},
	}, &server{append(bytesField(1, []byte(*pod)), bytesField(2, []byte(*pod))...), *delay})
	fmt.Printf("listening on 127.0.0.1:%d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(grpcServer.Serve(listener))
}
