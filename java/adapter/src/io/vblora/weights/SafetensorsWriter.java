package io.vblora.weights;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * Writes a safetensors file with the same bytes that Hugging Face's library writes: tensors are ordered by the size of
 * their elements, the widest first, then by name; the header is padded with spaces to a multiple of 8. Data is
 * streamed, one tensor at a time, and the file appears whole or not at all ({@link AtomicFile}).
 */
public final class SafetensorsWriter {
    /** The order of UTF-8 bytes, by which the library sorts names. */
    private static final Comparator<String> UTF8_BYTES =
            (a, b) -> Arrays.compareUnsigned(a.getBytes(StandardCharsets.UTF_8), b.getBytes(StandardCharsets.UTF_8));
    private static final int CHUNK = 8 << 20;
    private static final JsonFactory JSON = new JsonFactory();

    private record Item(String name, DType dtype, long[] shape, Supplier<Tensor> source, boolean close) {
        long bytes() {
            return Math.multiplyExact(Arrays.stream(shape).reduce(1, Math::multiplyExact), (long) dtype.bytes());
        }
    }

    private final TreeMap<String, Item> items = new TreeMap<>(UTF8_BYTES);
    private final TreeMap<String, String> metadata = new TreeMap<>(UTF8_BYTES);

    /** A writer of a file without tensors so far. */
    public SafetensorsWriter() {}

    /** Adds a string to {@code __metadata__}; PEFT and Transformers write format = pt. */
    public SafetensorsWriter metadata(String key, String value) {
        metadata.put(key, value);
        return this;
    }

    /** Adds a CPU tensor, which must live until the file is written. */
    public SafetensorsWriter add(String name, Tensor tensor) {
        return add(new Item(name, tensor.dtype(), tensor.shape(), () -> tensor, false));
    }

    /** Adds all tensors of a map, as {@link #add(String, Tensor)}. */
    public SafetensorsWriter addAll(Map<String, Tensor> tensors) {
        tensors.forEach(this::add);
        return this;
    }

    /**
     * Adds a CPU tensor that is made when its turn comes and closed when it is written, so that only one of them is in
     * memory at a time.
     */
    public SafetensorsWriter add(String name, DType dtype, long[] shape, Supplier<Tensor> source) {
        return add(new Item(name, dtype, shape.clone(), source, true));
    }

    private SafetensorsWriter add(Item item) {
        if (item.name.equals(SafetensorsHeader.METADATA) || items.putIfAbsent(item.name, item) != null) {
            throw new IllegalArgumentException("Two tensors cannot be named \"" + item.name + "\", or one "
                    + SafetensorsHeader.METADATA);
        }
        return this;
    }

    /** Size of the file that {@link #write} makes. */
    public long bytes() {
        return Long.BYTES + header().length + items.values().stream().mapToLong(Item::bytes).sum();
    }

    /**
     * Creates or replaces the file.
     *
     * @throws UncheckedIOException naming the file, if it cannot be written; the old file is then still there
     */
    public void write(Path file) {
        AtomicFile.write(file, this::writeTo);
    }

    /** Writes the bytes of a file with these tensors. */
    public void writeTo(WritableByteChannel channel) throws IOException {
        byte[] header = header();
        ByteBuffer start = ByteBuffer.allocate(Long.BYTES + header.length).order(ByteOrder.LITTLE_ENDIAN);
        AtomicFile.writeFully(channel, start.putLong(header.length).put(header).flip());
        for (Item item : sorted()) {
            write(channel, item);
        }
    }

    private static void write(WritableByteChannel channel, Item item) throws IOException {
        Tensor tensor = item.source.get();
        try {
            if (tensor.dtype() != item.dtype || !tensor.hasShape(item.shape)) {
                throw new IllegalStateException(item.name + " is " + tensor + ", not " + item.dtype
                        + Arrays.toString(item.shape));
            }
            for (long offset = 0; offset < tensor.bytes(); offset += CHUNK) {
                AtomicFile.writeFully(channel, tensor.buffer(offset, (int) Math.min(CHUNK, tensor.bytes() - offset)));
            }
        } finally {
            if (item.close) {
                tensor.close();
            }
        }
    }

    private List<Item> sorted() {
        // The sort is stable, and items come in the order of their names.
        return items.values().stream().sorted(Comparator.comparingInt(item -> -item.dtype.bytes())).toList();
    }

    private byte[] header() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = JSON.createGenerator(bytes)) {
            json.writeStartObject();
            if (!metadata.isEmpty()) {
                json.writeObjectFieldStart(SafetensorsHeader.METADATA);
                for (Map.Entry<String, String> e : metadata.entrySet()) {
                    json.writeStringField(e.getKey(), e.getValue());
                }
                json.writeEndObject();
            }
            long offset = 0;
            for (Item item : sorted()) {
                json.writeObjectFieldStart(item.name);
                json.writeStringField("dtype", item.dtype.code());
                json.writeFieldName("shape");
                json.writeArray(item.shape, 0, item.shape.length);
                json.writeFieldName("data_offsets");
                json.writeArray(new long[] {offset, offset + item.bytes()}, 0, 2);
                json.writeEndObject();
                offset += item.bytes();
            }
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException("writing to memory", e);
        }
        byte[] unpadded = bytes.toByteArray();
        byte[] header = Arrays.copyOf(unpadded, (unpadded.length + 7) / 8 * 8);
        Arrays.fill(header, unpadded.length, header.length, (byte) ' ');
        return header;
    }
}
