"""ONNX files by their bytes: what a serializer writes, and what none does."""


def varint(number):
    """A number as protobuf lays it down."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def field(number, content, wire=2):
    """A field: bytes with their length, or a number."""
    if wire == 0:
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def empty_model(words):
    """A model without a graph, and with a text: an ONNX file that no engine opens."""
    return field(6, words)


def tensor(entries, *, name=b"w", location=1):
    """A TensorProto that is kept elsewhere."""
    pairs = [field(13, field(1, key) + field(2, value)) for key, value in entries]
    return field(1, 1, 0) + field(2, 1, 0) + field(8, name) + b"".join(pairs) + field(14, location, 0)


def outside(location, *, offset=b"0", length=b"4"):
    """A model with one initializer in the file `location`."""
    entries = [(b"location", location), (b"offset", offset), (b"length", length)]
    return field(7, field(5, tensor(entries)))
