package io.vblora.onnx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.CodedOutputStream;
import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class OnnxFileTest {
    private static final int FLOAT = OnnxBuilder.FLOAT;

    @TempDir
    private Path folder;

    private Path file(byte[] content) throws IOException {
        return Files.write(folder.resolve("x.onnx"), content);
    }

    private static byte[] littleEndian(float... values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return bytes.array();
    }

    /** Packed varints. */
    private static void varints(CodedOutputStream out, int field, long... values) throws IOException {
        out.writeByteArray(field, OnnxBuilder.message(packed -> {
            for (long value : values) {
                packed.writeInt64NoTag(value);
            }
        }));
    }

    private static OnnxBuilder builder() {
        return new OnnxBuilder(17);
    }

    private static byte[] model(byte[] tensor) {
        OnnxBuilder graph = builder();
        graph.initialiser(tensor, "t");
        return graph.build();
    }

    private static byte[] external(String... pairs) {
        return OnnxBuilder.tensor("t", FLOAT, new long[] {2}, out -> {
            for (int i = 0; i < pairs.length; i += 2) {
                String key = pairs[i];
                String value = pairs[i + 1];
                out.writeByteArray(13, OnnxBuilder.message(entry -> {
                    entry.writeString(1, key);
                    entry.writeString(2, value);
                }));
            }
            out.writeInt32(14, 1);
        });
    }

    @Test
    void readsTensorsHoweverTheyAreStored() throws IOException {
        OnnxBuilder graph = builder();
        float[] values = {1.5f, -2, 0.25f, 8, -0.5f, 3};
        graph.initialiser("raw", values, 2, 3);
        graph.initialiser(OnnxBuilder.tensor("float_data", FLOAT, new long[] {6}, out -> {
            out.writeByteArray(4, littleEndian(values));
        }), "");
        graph.initialiser(OnnxBuilder.tensor("double_data", 11, new long[] {1}, out -> {
            out.writeByteArray(10, ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putDouble(0.1).array());
        }), "");
        // 1.5, -2 and the smallest subnormal, in both 16-bit formats.
        graph.initialiser(OnnxBuilder.tensor("half", 10, new long[] {3},
                out -> varints(out, 5, 0x3e00, 0xc000, 1)), "");
        graph.initialiser(OnnxBuilder.tensor("bfloat16", 16, new long[] {3},
                out -> varints(out, 5, 0x3fc0, 0xc000, 1)), "");
        graph.initialiser(OnnxBuilder.tensor("int64", 7, new long[] {2}, out -> varints(out, 7, -3, 1L << 40)), "");
        graph.initialiser(OnnxBuilder.tensor("int8", 3, new long[] {2}, out -> varints(out, 5, -3, 100)), "");
        graph.initialiser(OnnxBuilder.tensor("scalar", FLOAT, new long[0], out -> {
            out.writeByteArray(9, littleEndian(7));
        }), "");
        graph.initialiser(OnnxBuilder.tensor("none", FLOAT, new long[] {0, 4}, out -> {}), "");
        graph.add("Constant", List.of(), List.of("value_float"), Map.of("value_float", 2.5f));
        graph.add("Constant", List.of(), List.of("value_ints"), Map.of("value_ints", new long[] {4, -5}));
        try (OnnxFile file = OnnxFile.open(file(graph.build()))) {
            assertEquals(Set.of("raw", "float_data", "double_data", "half", "bfloat16", "int64", "int8", "scalar",
                    "none", "value_float", "value_ints"), file.names());
            assertFloats(file, "raw", new long[] {2, 3}, values);
            assertFloats(file, "float_data", new long[] {6}, values);
            assertFloats(file, "double_data", new long[] {1}, 0.1f);
            assertFloats(file, "half", new long[] {3}, 1.5f, -2, 0x1p-24f);
            assertFloats(file, "bfloat16", new long[] {3}, 1.5f, -2, 0x1p-133f);
            assertFloats(file, "scalar", new long[] {}, 7);
            assertFloats(file, "none", new long[] {0, 4});
            assertFloats(file, "value_float", new long[] {}, 2.5f);
            assertEquals(DType.FLOAT16, file.entry("half").dtype());
            try (Tensor longs = file.read("int64"); Tensor bytes = file.read("int8");
                    Tensor ints = file.read("value_ints")) {
                assertEquals(-3, longs.getLong(0));
                assertEquals(1L << 40, longs.getLong(1));
                assertEquals(-3, bytes.buffer(0, 2).get(0));
                assertEquals(100, bytes.buffer(0, 2).get(1));
                assertEquals(-5, ints.getLong(1));
            }
            assertThrows(InputException.class, () -> file.readFloat32("int64"));
            assertThrows(InputException.class, () -> file.read("missing"));
        }
    }

    private static void assertFloats(OnnxFile file, String name, long[] shape, float... expected) {
        try (Tensor tensor = file.readFloat32(name)) {
            assertArrayEquals(shape, tensor.shape(), name);
            assertArrayEquals(expected, tensor.toFloats(), name);
        }
    }

    @Test
    void readsTheGraph() throws IOException {
        OnnxBuilder graph = builder();
        String x = graph.input("x");
        graph.input("w"); // older files list initialisers among inputs
        graph.initialiser("w", new float[] {1, 2}, 2);
        graph.add("com.microsoft:Gelu", List.of(x, "", "w"), List.of("y"), Map.of("axis", -1L, "epsilon", 0.5f,
                "mode", "fast", "perm", new long[] {1, 0}));
        graph.output("y", 2);
        try (OnnxFile file = OnnxFile.open(file(graph.build()))) {
            assertEquals(17, file.opset());
            assertEquals(List.of("x"), file.inputs());
            assertEquals(List.of("y"), file.outputs());
            OnnxNode node = file.producer("y");
            assertEquals(List.of(node), file.nodes());
            assertNull(file.producer("x"));
            assertEquals("com.microsoft:Gelu", node.op());
            assertTrue(node.hasInput(0) && !node.hasInput(1) && node.hasInput(2) && !node.hasInput(3));
            assertEquals(-1, node.integer("axis", null));
            assertEquals(0.5f, node.attribute("epsilon", Float.class, null));
            assertEquals("fast", node.attribute("mode", String.class, ""));
            assertArrayEquals(new long[] {1, 0}, node.integers("perm"));
            assertEquals(3, node.integer("missing", 3L));
            assertThrows(InputException.class, () -> node.integer("missing", null));
            assertThrows(InputException.class, () -> node.integer("mode", 1L));
            assertThrows(InputException.class, () -> node.input(1));
        }
    }

    @Test
    void readsExternalDataOfTheSameFolder() throws IOException {
        Files.write(folder.resolve("x.onnx_data"), littleEndian(1, 2, 3, 4));
        Path path = file(model(external("location", "x.onnx_data", "offset", "4", "length", "8")));
        try (OnnxFile file = OnnxFile.open(path)) {
            assertFloats(file, "t", new long[] {2}, 2, 3);
            assertEquals(folder.resolve("x.onnx_data"), file.file("t"));
        }
    }

    @Test
    void noticesAFileThatShrinks() throws IOException {
        OnnxBuilder graph = builder();
        graph.initialiser("t", new float[1000], 1000);
        Path path = file(graph.build());
        try (OnnxFile file = OnnxFile.open(path)) {
            try (RandomAccessFile shrunk = new RandomAccessFile(path.toFile(), "rw")) {
                shrunk.setLength(1000);
            }
            assertEquals("t", assertThrows(InputException.class, () -> file.read("t")).field());
        }
    }

    @Test
    void refusesFilesBeyondTheFormatsLimit() throws IOException {
        Path path = folder.resolve("large.onnx");
        try (RandomAccessFile large = new RandomAccessFile(path.toFile(), "rw")) {
            large.setLength(1L << 31); // a hole: takes no room on the disk
        }
        assertRefused(path, "at most 2^31 - 1");
    }

    @Test
    void refusesWhatIsNoFile() {
        assertRefused(folder.resolve("none.onnx"), "no such file");
        assertRefused(folder, "not a file");
    }

    private static Arguments tensor(String what, int type, long[] shape, OnnxBuilder.Fields data, String message) {
        return Arguments.of(what, model(OnnxBuilder.tensor("t", type, shape, data)), message);
    }

    private static Arguments nodes(String what, OnnxBuilder graph, String message) {
        return Arguments.of(what, graph.build(), message);
    }

    private static OnnxBuilder graph(String... wires) {
        OnnxBuilder graph = builder();
        graph.input("x");
        for (String wire : wires) {
            String[] names = wire.split(">");
            graph.add("Add", List.of(names[0].split(" ")), List.of(names[1].split(" ")), Map.of());
        }
        return graph;
    }

    private static OnnxBuilder output(OnnxBuilder graph, String name) {
        graph.output(name, 2);
        return graph;
    }

    static List<Arguments> brokenFiles() {
        byte[] good = model(OnnxBuilder.tensor("t", FLOAT, new long[] {2}, out -> {
            out.writeByteArray(9, littleEndian(1, 2));
        }));
        byte[] empty = {};
        long[] two = {2};
        OnnxBuilder.Fields eight = out -> out.writeByteArray(9, littleEndian(1, 2));
        OnnxBuilder twice = builder();
        twice.initialiser("t", new float[1], 1);
        twice.initialiser("t", new float[1], 1);
        OnnxBuilder constant = builder();
        constant.add("Constant", List.of(), List.of("c"), Map.of("value_string", "text"));
        return List.of(
                Arguments.of("an empty file", empty, "expected an ONNX model"),
                Arguments.of("text", "hello, world".getBytes(StandardCharsets.UTF_8), "bytes that break the format"),
                Arguments.of("no graph", OnnxBuilder.message(out -> out.writeInt64(1, 8)), "graph: found none"),
                Arguments.of("a graph that is a number", OnnxBuilder.message(out -> out.writeInt64(7, 8)),
                        "wire type 0"),
                Arguments.of("a length beyond the file", new byte[] {0x3a, 0x7f, 0}, "bytes that break the format"),
                Arguments.of("a length of -1", new byte[] {0x3a, -1, -1, -1, -1, 0xf}, "bytes that break the format"),
                Arguments.of("endless groups", bytes(100_000, 0x0b), "bytes that break the format"),
                Arguments.of("a group that ends first", new byte[] {0x0c}, "bytes that break the format"),
                Arguments.of("a file cut short", Arrays.copyOf(good, good.length - 12), "bytes that break the format"),
                Arguments.of("two graphs", concat(good, good), "a second one"),
                Arguments.of("no operators' version", OnnxBuilder.message(out -> out.writeByteArray(7, empty)),
                        "opset_import"),
                Arguments.of("a name that is not UTF-8", OnnxBuilder.message(out -> out.writeByteArray(7,
                        OnnxBuilder.message(graph -> graph.writeByteArray(1, new byte[] {0x0a, 1, -1})))),
                        "invalid UTF-8"),
                tensor("too few bytes", FLOAT, new long[] {3}, eight, "8 bytes; expected 12"),
                tensor("too many bytes", FLOAT, new long[] {1}, eight, "8 bytes; expected 4"),
                tensor("no bytes", FLOAT, two, out -> {}, "0 bytes; expected 8"),
                tensor("a negative size", FLOAT, new long[] {-2}, eight, "a size of -2"),
                tensor("a size that wraps", FLOAT, new long[] {1L << 62, 4, 2}, eight, "fewer than 2^63 bytes"),
                tensor("sizes beside 0 that wrap", FLOAT, new long[] {0, 1L << 62, 1L << 62}, out -> {},
                        "fewer than 2^63 bytes"),
                tensor("many dimensions", FLOAT, new long[100], eight, "more than 16 dimensions"),
                tensor("strings", 8, two, out -> {}, "data_type 8"),
                tensor("no type", 0, two, eight, "data_type 0"),
                tensor("4-bit integers", 22, two, eight, "data_type 22"),
                tensor("two kinds of data", FLOAT, two, out -> {
                    out.writeByteArray(9, littleEndian(1, 2));
                    out.writeByteArray(4, littleEndian(1, 2));
                }, "data in several pieces"),
                tensor("the data of another type", FLOAT, two, out -> varints(out, 7, 1, 2), "data in field 7"),
                tensor("unpacked data", FLOAT, new long[] {1}, out -> out.writeFloat(4, 1), "wire type 5"),
                tensor("a segment", FLOAT, two, out -> out.writeByteArray(3, empty), "a segment"),
                tensor("another place of data", FLOAT, two, out -> out.writeInt32(14, 7), "data_location 7"),
                nodes("two tensors of one name", twice, "a second tensor"),
                nodes("a constant that is text", constant, "value, value_float(s) or value_int(s)"),
                nodes("a node that reads itself", graph("x a>a"), "nothing before it gives"),
                nodes("a cycle", graph("x b>a", "a a>b"), "nothing before it gives"),
                nodes("a value given twice", graph("x x>a", "x x>a"), "which there is already"),
                nodes("an input given anew", graph("x x>x"), "which there is already"),
                nodes("an output that nothing gives", output(graph("x x>a"), "b"), "which no node gives"),
                Arguments.of("sparse tensors", OnnxBuilder.message(out -> out.writeByteArray(7,
                        OnnxBuilder.message(graph -> graph.writeByteArray(15, empty)))), "sparse tensors"),
                Arguments.of("external data of no file", model(external("offset", "0")), "location \"\""),
                Arguments.of("a file that is not there", model(external("location", "none")), "no such file"),
                Arguments.of("a file elsewhere", model(external("location", "../x.onnx")), "in the same folder"),
                Arguments.of("a file at the root", model(external("location", "/etc/passwd")), "in the same folder"),
                Arguments.of("the folder itself", model(external("location", "..")), "in the same folder"),
                Arguments.of("a negative offset", model(external("location", "x.onnx", "offset", "-4")),
                        "offset \"-4\""),
                Arguments.of("an end beyond the file", model(external("location", "x.onnx", "offset", "999999")),
                        "bytes of that file"),
                Arguments.of("another length", model(external("location", "x.onnx", "length", "7")),
                        "7 bytes; expected 8"),
                Arguments.of("a key twice", model(external("location", "x.onnx", "location", "y")), "twice"));
    }

    private static byte[] bytes(int n, int value) {
        byte[] bytes = new byte[n];
        Arrays.fill(bytes, (byte) value);
        return bytes;
    }

    private static byte[] concat(byte[] a, byte[] b) {
        byte[] both = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, both, a.length, b.length);
        return both;
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("brokenFiles")
    void refusesBrokenFiles(String what, byte[] content, String message) throws IOException {
        assertRefused(file(content), message);
    }

    private static void assertRefused(Path path, String message) {
        InputException e = assertThrows(InputException.class, () -> OnnxFile.open(path));
        assertTrue(e.getMessage().contains(message) && e.getMessage().length() < 600, e.getMessage());
    }
}
