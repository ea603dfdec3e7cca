package io.vblora.onnx;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.WireFormat;
import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.NativeFile;
import io.vblora.weights.Reading;
import io.vblora.weights.WeightSource.Entry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads TensorProto messages, by the field numbers of onnx.proto:
 *
 * <pre>
 * dims 1, data_type 2, segment 3, float_data 4, int32_data 5, int64_data 7, name 8, raw_data 9, double_data 10,
 * external_data 13 (StringStringEntryProto: key 1, value 2), data_location 14 (1: external)
 * </pre>
 *
 * raw_data, float_data and double_data are plain little-endian bytes: only their place is noted. Integers are stored as
 * varints and kept in memory, as are 16-bit floats that int32_data holds.
 */
final class OnnxTensorReader {
    /** Types by their number in TensorProto.DataType. */
    private static final Map<Long, DType> DTYPES = Map.of(1L, DType.FLOAT32, 2L, DType.UINT8, 3L, DType.INT8, 5L,
            DType.INT16, 6L, DType.INT32, 7L, DType.INT64, 9L, DType.BOOL, 10L, DType.FLOAT16, 11L, DType.FLOAT64, 16L,
            DType.BFLOAT16);
    private static final int MAX_RANK = 16;
    /** The most bytes of a tensor that is kept in memory. */
    private static final int MAX_IN_MEMORY = 1 << 28;

    private static final int FLOAT_DATA = 4;
    private static final int INT32_DATA = 5;
    private static final int INT64_DATA = 7;
    private static final int RAW_DATA = 9;
    private static final int DOUBLE_DATA = 10;
    private static final int EXTERNAL_DATA = 13;

    /** A tensor and its name, which is empty in attributes. */
    record Named(String name, OnnxTensor tensor) {}

    private final Path path;
    private final CodedInputStream in;
    private final List<NativeFile> files;
    private final Map<String, NativeFile> external = new HashMap<>();

    OnnxTensorReader(Path path, CodedInputStream in, List<NativeFile> files) {
        this.path = path;
        this.in = in;
        this.files = files;
    }

    /** A tensor whose bytes are in memory, in native order. */
    static OnnxTensor inMemory(Path path, DType dtype, List<Long> shape, byte[] bytes) {
        return new OnnxTensor(path, new Entry(dtype, shape, 0, bytes.length), (offset, destination) -> {
            int length = (int) destination.bytes();
            destination.buffer(0, length).put(bytes, (int) offset, length);
        });
    }

    /** Reads an embedded TensorProto. */
    Named read(int wireType) throws IOException {
        Message message = new Message();
        OnnxReader.message(in, wireType, message::field);
        return new Named(message.name, message.tensor());
    }

    /** The content of one message. */
    private final class Message {
        private final List<Long> shape = new ArrayList<>();
        private final Map<String, String> place = new HashMap<>();
        private String name = "";
        private long type;
        private long location;
        /** The number of the field that holds the data; 0 if there was none. */
        private int data;
        private long offset;
        private long length;
        private byte[] numbers = {};

        private boolean field(int number, int wireType) throws IOException {
            switch (number) {
                case 1 -> dims(wireType);
                case 2 -> type = OnnxReader.varint(in, wireType);
                case 3 -> throw refused("a segment of a tensor", "whole tensors");
                case FLOAT_DATA, DOUBLE_DATA, RAW_DATA -> {
                    data(number);
                    OnnxReader.expect(wireType, WireFormat.WIRETYPE_LENGTH_DELIMITED);
                    length = in.readRawVarint32();
                    offset = in.getTotalBytesRead();
                    in.skipRawBytes((int) length);
                }
                case INT32_DATA, INT64_DATA -> {
                    data(number);
                    OnnxReader.expect(wireType, WireFormat.WIRETYPE_LENGTH_DELIMITED);
                    varints();
                }
                case 8 -> name = OnnxReader.string(in, wireType);
                case EXTERNAL_DATA -> externalData(wireType);
                case 14 -> location = OnnxReader.varint(in, wireType);
                default -> {
                    return false;
                }
            }
            return true;
        }

        private InputException refused(String found, String expected) {
            return new InputException(path, name.isEmpty() ? "a tensor" : name, found, expected);
        }

        private void data(int field) {
            if (data != 0) {
                throw refused("data in several pieces", "one");
            }
            data = field;
        }

        private void dims(int wireType) throws IOException {
            if (wireType == WireFormat.WIRETYPE_VARINT) {
                dim(in.readRawVarint64());
                return;
            }
            OnnxReader.expect(wireType, WireFormat.WIRETYPE_LENGTH_DELIMITED);
            int limit = in.pushLimit(in.readRawVarint32());
            while (!in.isAtEnd()) {
                dim(in.readRawVarint64());
            }
            in.popLimit(limit);
        }

        private void dim(long size) {
            if (size < 0 || shape.size() == MAX_RANK) {
                throw refused(size < 0 ? "a size of " + size : "more than " + MAX_RANK + " dimensions",
                        "at most " + MAX_RANK + " sizes, none negative");
            }
            shape.add(size);
        }

        private DType dtype() {
            DType dtype = DTYPES.get(type);
            if (dtype == null) {
                throw refused("data_type " + type, "FLOAT, DOUBLE, FLOAT16, BFLOAT16, INT8 to INT64, UINT8 or BOOL");
            }
            return dtype;
        }

        /** Keeps the varints as 64-bit numbers; {@link #narrowed} converts them once the tensor's type is known. */
        private void varints() throws IOException {
            int limit = in.pushLimit(in.readRawVarint32());
            ByteBuffer buffer = ByteBuffer.allocate(64);
            while (!in.isAtEnd()) {
                if (!buffer.hasRemaining()) {
                    if (buffer.capacity() >= MAX_IN_MEMORY) {
                        throw refused("more than " + MAX_IN_MEMORY / Long.BYTES + " numbers as varints", "raw_data");
                    }
                    buffer = ByteBuffer.allocate(buffer.capacity() * 2).put(buffer.flip());
                }
                buffer.putLong(in.readRawVarint64());
            }
            in.popLimit(limit);
            numbers = Arrays.copyOf(buffer.array(), buffer.position());
        }

        private byte[] narrowed(DType dtype) {
            ByteBuffer source = ByteBuffer.wrap(numbers);
            ByteBuffer bytes = ByteBuffer.allocate(numbers.length / Long.BYTES * dtype.bytes())
                    .order(ByteOrder.nativeOrder());
            while (source.hasRemaining()) {
                long number = source.getLong();
                switch (dtype.bytes()) {
                    case 1 -> bytes.put((byte) number);
                    case 2 -> bytes.putShort((short) number);
                    case 4 -> bytes.putInt((int) number);
                    default -> bytes.putLong(number);
                }
            }
            return bytes.array();
        }

        private void externalData(int wireType) throws IOException {
            String[] pair = {"", ""};
            OnnxReader.message(in, wireType, (number, type) -> {
                boolean known = number == 1 || number == 2;
                if (known) {
                    pair[number - 1] = OnnxReader.string(in, type);
                }
                return known;
            });
            if (place.put(pair[0], pair[1]) != null) {
                throw refused("external_data." + pair[0] + " twice", "each key once");
            }
        }

        private OnnxTensor tensor() {
            DType dtype = dtype();
            long bytes = Reading.bytes(dtype, shape)
                    .orElseThrow(() -> refused("shape " + shape, "fewer than 2^63 bytes"));
            Entry entry = new Entry(dtype, List.copyOf(shape), offset, bytes);
            if (location == 1) {
                return external(entry);
            }
            if (location != 0 || !place.isEmpty()) {
                throw refused("data_location " + location + " and external_data " + place.keySet(),
                        "external data only where data_location is 1");
            }
            int own = switch (dtype) {
                case FLOAT32 -> FLOAT_DATA;
                case FLOAT64 -> DOUBLE_DATA;
                case INT64 -> INT64_DATA;
                default -> INT32_DATA;
            };
            if (data != 0 && data != RAW_DATA && data != own) {
                throw refused("data in field " + data, "in field " + RAW_DATA + " or, for " + dtype + ", " + own);
            }
            if (data == INT32_DATA || data == INT64_DATA) {
                byte[] narrowed = narrowed(dtype);
                checkSize(bytes, narrowed.length);
                return inMemory(path, dtype, entry.shape(), narrowed);
            }
            checkSize(bytes, length);
            return new OnnxTensor(path, entry, Reading.of(path, files.get(0), name));
        }

        private void checkSize(long expected, long found) {
            if (expected != found) {
                throw refused(found + " bytes", expected + " for " + DTYPES.get(type) + " " + shape);
            }
        }

        private OnnxTensor external(Entry entry) {
            if (data != 0) {
                throw refused("data in the file and external_data", "one of them");
            }
            String location = place.getOrDefault("location", "");
            // Only files of the model's own folder are opened.
            if (location.isEmpty() || location.equals(".") || location.equals("..") || location.contains("/")
                    || location.contains("\\") || location.indexOf('\0') >= 0) {
                throw refused("external_data.location \"" + location + "\"", "the name of a file in the same folder");
            }
            Path beside = path.resolveSibling(location);
            NativeFile file = external.computeIfAbsent(location, key -> {
                NativeFile opened = Reading.open(beside, "the file with the model's external data");
                files.add(opened);
                return opened;
            });
            long begin = externalNumber("offset", 0);
            checkSize(entry.bytes(), externalNumber("length", entry.bytes()));
            if (begin > file.size() || entry.bytes() > file.size() - begin) {
                throw refused("bytes " + begin + " to " + begin + " + " + entry.bytes() + " of " + location,
                        "bytes of that file, which has " + file.size());
            }
            return new OnnxTensor(beside, new Entry(entry.dtype(), entry.shape(), begin, entry.bytes()),
                    Reading.of(beside, file, name));
        }

        private long externalNumber(String key, long otherwise) {
            String text = place.get(key);
            if (text == null) {
                return otherwise;
            }
            if (!text.matches("[0-9]{1,18}")) {
                throw refused("external_data." + key + " \"" + text + "\"", "a number of bytes");
            }
            return Long.parseLong(text);
        }
    }
}
