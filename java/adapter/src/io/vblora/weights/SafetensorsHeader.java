package io.vblora.weights;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.NativeFile;
import io.vblora.kernels.Tensor;
import io.vblora.weights.WeightSource.Entry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Reads and checks the header of a safetensors file. */
final class SafetensorsHeader {
    /** The format's own limit. */
    static final long MAX_BYTES = 100_000_000;

    static final String METADATA = "__metadata__";

    private static final JsonFactory JSON = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    private static final Map<String, DType> DTYPES =
            Arrays.stream(DType.values()).collect(Collectors.toMap(DType::code, dtype -> dtype));

    private final Path path;
    private final long fileSize;
    private final long dataOffset;
    private final JsonParser parser;
    private final Map<String, Entry> entries = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();

    private SafetensorsHeader(Path path, long fileSize, long length, String json) throws IOException {
        this.path = path;
        this.fileSize = fileSize;
        this.dataOffset = Long.BYTES + length;
        this.parser = JSON.createParser(json);
    }

    /** Tensors in the order of the header. */
    Map<String, Entry> entries() {
        return Collections.unmodifiableMap(entries);
    }

    Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    static SafetensorsHeader read(Path path, NativeFile file) {
        if (file.size() < Long.BYTES) {
            throw new InputException(path, "header length", "a file of " + file.size() + " bytes", "at least 8 bytes");
        }
        long length = readBytes(file, 0, Long.BYTES).getLong();
        if (length < 0 || length > Math.min(MAX_BYTES, file.size() - Long.BYTES)) {
            throw new InputException(path, "header length", Long.toUnsignedString(length) + " bytes",
                    "at most " + MAX_BYTES + ", in a safetensors file of " + file.size() + " bytes");
        }
        String json = decode(path, readBytes(file, Long.BYTES, (int) length));
        if (!json.startsWith("{")) {
            throw new InputException(path, "header", json.isEmpty() ? "nothing" : "\"" + excerpt(json) + "\"",
                    "a JSON object, its first byte {");
        }
        try {
            SafetensorsHeader header = new SafetensorsHeader(path, file.size(), length, json);
            header.parse();
            header.checkLayout();
            return header;
        } catch (JsonProcessingException e) {
            throw new InputException(path.toString(), "header", JsonFields.problem(e),
                    "a JSON object without duplicate keys", e);
        } catch (IOException e) {
            throw new AssertionError("reading from memory", e);
        }
    }

    private static ByteBuffer readBytes(NativeFile file, long offset, int length) {
        try (Tensor bytes = Tensor.allocate(Device.CPU, DType.UINT8, length)) {
            file.read(offset, bytes.pointer(), length);
            byte[] copy = new byte[length];
            bytes.buffer(0, length).get(copy);
            return ByteBuffer.wrap(copy).order(ByteOrder.LITTLE_ENDIAN);
        }
    }

    private static String decode(Path path, ByteBuffer bytes) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
        } catch (CharacterCodingException e) {
            throw new InputException(path.toString(), "header", "bytes that are not UTF-8", "JSON in UTF-8", e);
        }
    }

    private static String excerpt(String text) {
        return text.length() <= 20 ? text : text.substring(0, 20) + "…";
    }

    private void parse() throws IOException {
        parser.nextToken();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            if (name.equals(METADATA)) {
                parseMetadata();
            } else {
                entries.put(name, parseEntry(name));
            }
        }
        if (parser.nextToken() != null) {
            throw new InputException(path, "header", "more after the JSON object", "nothing but spaces");
        }
    }

    private void parseMetadata() throws IOException {
        require(JsonToken.START_OBJECT, METADATA, "an object of strings");
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String key = parser.currentName();
            parser.nextToken();
            require(JsonToken.VALUE_STRING, METADATA + "." + key, "a string");
            metadata.put(key, parser.getText());
        }
    }

    private Entry parseEntry(String name) throws IOException {
        require(JsonToken.START_OBJECT, name, "an object with dtype, shape and data_offsets");
        DType dtype = null;
        List<Long> shape = null;
        List<Long> offsets = null;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String field = parser.currentName();
            parser.nextToken();
            switch (field) {
                case "dtype" -> dtype = parseDtype(name + ".dtype");
                case "shape" -> shape = parseSizes(name + ".shape");
                case "data_offsets" -> offsets = parseSizes(name + ".data_offsets");
                default -> throw new InputException(path, name, "field \"" + excerpt(field) + "\"",
                        "dtype, shape and data_offsets");
            }
        }
        if (dtype == null || shape == null || offsets == null) {
            String missing = dtype == null ? "dtype" : shape == null ? "shape" : "data_offsets";
            throw new InputException(path, name, "no " + missing, "dtype, shape and data_offsets");
        }
        return checkedEntry(name, dtype, shape, offsets);
    }

    private Entry checkedEntry(String name, DType dtype, List<Long> shape, List<Long> offsets) {
        if (offsets.size() != 2 || offsets.get(0) > offsets.get(1)) {
            throw new InputException(path, name + ".data_offsets", offsets.toString(),
                    "[begin, end] with begin <= end");
        }
        long begin = offsets.get(0);
        long end = offsets.get(1);
        if (end > fileSize - dataOffset) {
            throw new InputException(path, name + ".data_offsets", offsets.toString(),
                    "an end within the file's " + (fileSize - dataOffset) + " bytes of data");
        }
        long bytes = Reading.bytes(dtype, shape).orElseThrow(() -> new InputException(path, name + ".shape",
                shape.toString(), "a size that 64 bits can count"));
        if (bytes != end - begin) {
            throw new InputException(path, name + ".data_offsets", offsets + ", which is " + (end - begin) + " bytes",
                    bytes + " bytes for " + dtype.code() + " " + shape);
        }
        return new Entry(dtype, shape, dataOffset + begin, bytes);
    }

    private DType parseDtype(String field) throws IOException {
        require(JsonToken.VALUE_STRING, field, "a string");
        DType dtype = DTYPES.get(parser.getText());
        if (dtype == null) {
            throw new InputException(path, field, "\"" + excerpt(parser.getText()) + "\"",
                    "one of " + Arrays.stream(DType.values()).map(DType::code).collect(Collectors.joining(", ")));
        }
        return dtype;
    }

    private List<Long> parseSizes(String field) throws IOException {
        require(JsonToken.START_ARRAY, field, "an array of integers");
        List<Long> sizes = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT
                    || parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER || parser.getLongValue() < 0) {
                throw new InputException(path, field, excerpt(parser.getText()), "integers from 0 to 2^63 - 1");
            }
            sizes.add(parser.getLongValue());
        }
        return Collections.unmodifiableList(sizes);
    }

    private void require(JsonToken token, String field, String expected) throws IOException {
        if (parser.currentToken() != token) {
            throw new InputException(path, field, excerpt(String.valueOf(parser.getText())), expected);
        }
    }

    /** Every byte after the header belongs to exactly one tensor. */
    private void checkLayout() {
        List<Map.Entry<String, Entry>> sorted = new ArrayList<>(entries.entrySet());
        sorted.sort(Comparator.<Map.Entry<String, Entry>>comparingLong(e -> e.getValue().offset())
                .thenComparingLong(e -> e.getValue().bytes()));
        long end = dataOffset;
        String previous = "the header";
        for (Map.Entry<String, Entry> e : sorted) {
            long begin = e.getValue().offset();
            if (begin != end) {
                throw new InputException(path, e.getKey() + ".data_offsets",
                        begin < end ? "an overlap of " + (end - begin) + " bytes with " + previous
                                : "a hole of " + (begin - end) + " bytes after " + previous,
                        "begin " + (end - dataOffset));
            }
            end += e.getValue().bytes();
            previous = e.getKey();
        }
        if (end != fileSize) {
            throw new InputException(path, "data", (fileSize - end) + " bytes after the last tensor", "none");
        }
    }
}
