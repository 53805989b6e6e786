from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EchoRequest(_message.Message):
    __slots__ = ("payload",)
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    def __init__(self, payload: _Optional[bytes] = ...) -> None: ...

class ServerStreamRequest(_message.Message):
    __slots__ = ("payload", "messages", "interval_ms")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    messages: int
    interval_ms: int
    def __init__(self, payload: _Optional[bytes] = ..., messages: _Optional[int] = ..., interval_ms: _Optional[int] = ...) -> None: ...

class EchoReply(_message.Message):
    __slots__ = ("server", "payload", "peer", "connection", "call", "sequence", "received", "received_bytes")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    server: Server
    payload: bytes
    peer: str
    connection: str
    call: int
    sequence: int
    received: int
    received_bytes: int
    def __init__(self, server: _Optional[_Union[Server, _Mapping]] = ..., payload: _Optional[bytes] = ..., peer: _Optional[str] = ..., connection: _Optional[str] = ..., call: _Optional[int] = ..., sequence: _Optional[int] = ..., received: _Optional[int] = ..., received_bytes: _Optional[int] = ...) -> None: ...

class Server(_message.Message):
    __slots__ = ("id", "pod", "pod_ip", "namespace", "node", "zone")
    ID_FIELD_NUMBER: _ClassVar[int]
    POD_FIELD_NUMBER: _ClassVar[int]
    POD_IP_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    id: str
    pod: str
    pod_ip: str
    namespace: str
    node: str
    zone: str
    def __init__(self, id: _Optional[str] = ..., pod: _Optional[str] = ..., pod_ip: _Optional[str] = ..., namespace: _Optional[str] = ..., node: _Optional[str] = ..., zone: _Optional[str] = ...) -> None: ...
