package io.vblora.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class SafetensorsFileTest {
    @TempDir
    private Path folder;

    private Path file(byte[] content) throws IOException {
        return Files.write(folder.resolve("x.safetensors"), content);
    }

    private static byte[] bytes(long headerLength, byte[] header, int dataBytes) {
        return ByteBuffer.allocate(Long.BYTES + header.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN)
                .putLong(headerLength).put(header).array();
    }

    private static byte[] bytes(String header, int dataBytes) {
        byte[] utf8 = header.getBytes(StandardCharsets.UTF_8);
        return bytes(utf8.length, utf8, dataBytes);
    }

    private static String tensor(String dtype, String shape, String offsets) {
        return "{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
    }

    private static Arguments broken(String what, String header, int dataBytes, String field) {
        return Arguments.of(what, bytes(header, dataBytes), field);
    }

    /** A header of tensors a, b, ... */
    private static String header(String... tensors) {
        return IntStream.range(0, tensors.length).mapToObj(i -> "\"" + (char) ('a' + i) + "\":" + tensors[i])
                .collect(Collectors.joining(",", "{", "}"));
    }

    static List<Arguments> brokenFiles() {
        String good = header(tensor("F32", "[2]", "[0,8]"));
        byte[] goodBytes = good.getBytes(StandardCharsets.UTF_8);
        byte[] notUtf8 = goodBytes.clone();
        notUtf8[2] = (byte) 0xff;
        return List.of(
                Arguments.of("an empty file", new byte[0], "header length"),
                Arguments.of("half a length", new byte[5], "header length"),
                Arguments.of("a header of 2^63", bytes(Long.MIN_VALUE, goodBytes, 8), "header length"),
                Arguments.of("a header of 2^64 - 1", bytes(-1, goodBytes, 8), "header length"),
                Arguments.of("a header of 2^63 - 1", bytes(Long.MAX_VALUE, goodBytes, 8), "header length"),
                Arguments.of("a header above the limit", bytes(SafetensorsHeader.MAX_BYTES + 1, goodBytes, 8),
                        "header length"),
                Arguments.of("a header beyond the file", bytes(goodBytes.length + 9, goodBytes, 8), "header length"),
                Arguments.of("a header cut short", bytes(goodBytes.length - 3, goodBytes, 8), "header"),
                Arguments.of("a header that is not UTF-8", bytes(goodBytes.length, notUtf8, 8), "header"),
                Arguments.of("an empty header", bytes(0, new byte[0], 0), "header"),
                broken("an array", "[1]", 0, "header"),
                broken("a space first", " " + good, 8, "header"),
                broken("no JSON", "{nonsense}", 0, "header"),
                broken("two objects", good + "{}", 8, "header"),
                broken("endless nesting", "{\"a\":" + "[".repeat(100_000), 0, "a"),
                broken("a duplicate tensor", "{\"a\":" + tensor("F32", "[1]", "[0,4]") + ",\"a\":"
                        + tensor("F32", "[1]", "[4,8]") + "}", 8, "header"),
                broken("a duplicate field",
                        header("{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}"), 4,
                        "header"),
                broken("metadata that is no object", "{\"__metadata__\":\"pt\"}", 0, "__metadata__"),
                broken("metadata that is no string", "{\"__metadata__\":{\"format\":1}}", 0, "__metadata__.format"),
                broken("a tensor that is no object", "{\"a\":3}", 0, "a"),
                broken("no dtype", header("{\"shape\":[2],\"data_offsets\":[0,8]}"), 8, "a"),
                broken("no shape", header("{\"dtype\":\"F32\",\"data_offsets\":[0,8]}"), 8, "a"),
                broken("no offsets", header("{\"dtype\":\"F32\",\"shape\":[2]}"), 8, "a"),
                broken("an unknown field", header("{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"b\":1}"),
                        8, "a"),
                broken("an unknown dtype", header(tensor("F33", "[2]", "[0,8]")), 8, "a.dtype"),
                broken("a dtype that is no string", header("{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}"), 8,
                        "a.dtype"),
                broken("a negative size", header(tensor("F32", "[-2]", "[0,8]")), 8, "a.shape"),
                broken("a fractional size", header(tensor("F32", "[2.0]", "[0,8]")), 8, "a.shape"),
                broken("a size that is text", header(tensor("F32", "[\"2\"]", "[0,8]")), 8, "a.shape"),
                broken("a shape that is a number", header(tensor("F32", "2", "[0,8]")), 8, "a.shape"),
                broken("a size of 2^64", header(tensor("F32", "[18446744073709551616]", "[0,8]")), 8, "a.shape"),
                broken("a product that wraps to 8 bytes", header(tensor("F32", "[4611686018427387904,4,2]", "[0,8]")),
                        8, "a.shape"),
                broken("a product that wraps beside 0", header(tensor("F32",
                        "[0,4611686018427387904,4611686018427387904]", "[0,0]")), 0, "a.shape"),
                broken("one offset", header(tensor("F32", "[2]", "[8]")), 8, "a.data_offsets"),
                broken("three offsets", header(tensor("F32", "[2]", "[0,8,8]")), 8, "a.data_offsets"),
                broken("a negative offset", header(tensor("F32", "[2]", "[-8,0]")), 8, "a.data_offsets"),
                broken("offsets that go back", header(tensor("F32", "[0]", "[8,0]")), 8, "a.data_offsets"),
                broken("an end beyond the file", header(tensor("F32", "[2]", "[0,8]")), 7, "a.data_offsets"),
                broken("an end of 2^63 - 1", header(tensor("U8", "[9223372036854775807]", "[0,9223372036854775807]")),
                        8, "a.data_offsets"),
                broken("a size that disagrees", header(tensor("F32", "[3]", "[0,8]")), 8, "a.data_offsets"),
                broken("an overlap", header(tensor("F32", "[2]", "[0,8]"), tensor("F32", "[2]", "[4,12]")),
                        12, "b.data_offsets"),
                broken("the same bytes twice", header(tensor("F32", "[2]", "[0,8]"), tensor("F32", "[2]", "[0,8]")), 8,
                        "b.data_offsets"),
                broken("a hole", header(tensor("F32", "[1]", "[0,4]"), tensor("F32", "[1]", "[8,12]")), 12,
                        "b.data_offsets"),
                broken("a hole at the beginning", header(tensor("F32", "[1]", "[4,8]")), 8, "a.data_offsets"),
                broken("trailing bytes", good, 9, "data"),
                broken("data without tensors", "{}", 1, "data"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("brokenFiles")
    void refusesBrokenFiles(String what, byte[] content, String field) throws IOException {
        Path file = file(content);
        InputException e = assertThrows(InputException.class, () -> SafetensorsFile.open(file));
        assertEquals(file.toString(), e.source());
        assertEquals(field, e.field(), e.getMessage());
        assertTrue(e.getMessage().length() < 500, e.getMessage());
    }

    @Test
    void refusesWhatIsNoFile() {
        InputException missing = assertThrows(InputException.class, () -> SafetensorsFile.open(folder.resolve("none")));
        assertEquals("no such file", missing.found());
        assertThrows(InputException.class, () -> SafetensorsFile.open(folder));
    }

    @Test
    void readsWhatTheFormatAllows() throws IOException {
        // Written by hand from the format's description: scalars, empty tensors, spaces after the header, any order.
        String header = "{\"__metadata__\":{\"k\":\"v\"},\"late\":" + tensor("I16", "[2]", "[8,12]") + ",\"none\":"
                + tensor("F32", "[0,3]", "[8,8]") + ",\"scalar\":" + tensor("F64", "[]", "[0,8]") + "}   ";
        byte[] content = bytes(header, 12);
        ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).position(content.length - 12).putDouble(1.5)
                .putShort((short) -2).putShort((short) 3);
        try (SafetensorsFile file = SafetensorsFile.open(file(content)); Tensor scalar = file.readFloat32("scalar");
                Tensor late = file.read("late"); Tensor none = file.read("none")) {
            assertEquals(List.of("late", "none", "scalar"), List.copyOf(file.names()));
            assertEquals(Map.of("k", "v"), file.metadata());
            assertArrayEquals(new float[] {1.5f}, scalar.toFloats());
            assertEquals(0, scalar.rank());
            assertEquals(-2, late.buffer(0, 4).getShort());
            assertArrayEquals(new long[] {0, 3}, none.shape());
            InputException wrong = assertThrows(InputException.class, () -> file.readFloat32("late"));
            assertEquals("late", wrong.field());
            assertThrows(InputException.class, () -> file.readInto("scalar", late));
            assertThrows(InputException.class, () -> file.read("missing"));
        }
    }

    @Test
    void widensHalfPrecision() throws IOException {
        // 1.5, -2 and the smallest subnormal in both formats.
        String header = "{\"b\":" + tensor("BF16", "[3]", "[0,6]") + ",\"h\":" + tensor("F16", "[3]", "[6,12]") + "}";
        byte[] content = bytes(header, 12);
        ByteBuffer data = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).position(content.length - 12);
        for (int bits : new int[] {0x3fc0, 0xc000, 1, 0x3e00, 0xc000, 1}) {
            data.putShort((short) bits);
        }
        try (SafetensorsFile file = SafetensorsFile.open(file(content)); Tensor b = file.readFloat32("b");
                Tensor h = file.readFloat32("h")) {
            assertArrayEquals(new float[] {1.5f, -2, 0x1p-133f}, b.toFloats());
            assertArrayEquals(new float[] {1.5f, -2, 0x1p-24f}, h.toFloats());
        }
    }

    @Test
    void noticesAFileThatShrinks() throws IOException {
        Path path = file(bytes("{\"a\":" + tensor("F32", "[1000]", "[0,4000]") + "}", 4000));
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            try (var channel = java.nio.channels.FileChannel.open(path, java.nio.file.StandardOpenOption.WRITE)) {
                channel.truncate(1000);
            }
            InputException e = assertThrows(InputException.class, () -> file.read("a"));
            assertEquals("a", e.field());
        }
    }

    @Test
    void readsInChunks() throws IOException {
        int n = (1 << 20) + 5;
        Path path = folder.resolve("long.safetensors");
        try (Tensor values = Tensor.allocate(Device.CPU, DType.FLOAT64, n)) {
            for (int i = 0; i < n; i += 1000) {
                values.buffer((long) i * 8, 8).putDouble(i);
            }
            values.buffer((n - 1L) * 8, 8).putDouble(-7);
            new SafetensorsWriter().add("x", values).write(path);
        }
        try (SafetensorsFile file = SafetensorsFile.open(path); Tensor x = file.readFloat32("x")) {
            float[] expected = new float[n];
            for (int i = 0; i < n; i += 1000) {
                expected[i] = i;
            }
            expected[n - 1] = -7;
            assertArrayEquals(expected, x.toFloats());
        }
    }

    @Test
    void writesTheLibrarysBytes() throws IOException {
        // The header as the safetensors library writes it: wide elements first, then names, padded to 8 bytes.
        String header = "{\"__metadata__\":{\"format\":\"pt\"},\"b\":" + tensor("F32", "[1]", "[0,4]") + ",\"ü\":"
                + tensor("I32", "[2]", "[4,12]") + ",\"a\":" + tensor("U8", "[3]", "[12,15]") + "}";
        byte[] utf8 = header.getBytes(StandardCharsets.UTF_8);
        byte[] padded = java.util.Arrays.copyOf(utf8, (utf8.length + 7) / 8 * 8);
        java.util.Arrays.fill(padded, utf8.length, padded.length, (byte) ' ');
        ByteArrayOutputStream expected = new ByteArrayOutputStream();
        expected.write(bytes(padded.length, padded, 0));
        expected.write(ByteBuffer.allocate(15).order(ByteOrder.LITTLE_ENDIAN).putFloat(2.5f).putInt(7).putInt(-1)
                .put(new byte[] {1, 2, 3}).array());
        Path path = folder.resolve("w.safetensors");
        try (Tensor a = Tensor.allocate(Device.CPU, DType.UINT8, 3); Tensor b = Tensor.of(new float[] {2.5f}, 1);
                Tensor u = Tensor.of(new int[] {7, -1}, 2)) {
            a.buffer(0, 3).put(new byte[] {1, 2, 3});
            SafetensorsWriter writer = new SafetensorsWriter().add("a", a).metadata("format", "pt")
                    .addAll(Map.of("b", b, "ü", u));
            writer.write(path);
            assertEquals(writer.bytes(), Files.size(path));
            assertThrows(IllegalArgumentException.class, () -> writer.add("a", b));
        }
        assertArrayEquals(expected.toByteArray(), Files.readAllBytes(path));
    }
}
