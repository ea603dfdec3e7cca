package io.vblora.onnx;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Changes ONNX files at random but by their structure: fields of messages at any depth are dropped, doubled, moved,
 * exchanged, renumbered or given other values, and lengths around them stay right. Now and then plain bytes are
 * changed.
 */
public final class OnnxMutator {
    /** Messages by the path of field numbers that leads to them. */
    private static final Set<String> MESSAGES = Set.of("/7", "/8", "/7/1", "/7/1/5", "/7/1/5/5", "/7/5", "/7/11",
            "/7/12", "/7/5/13", "/7/1/5/5/13");
    private static final long[] NUMBERS = {0, 1, 2, 3, 4, 5, 7, 8, 16, -1, -2, 127, 128, 1 << 16, 1 << 30,
        Integer.MAX_VALUE, 1L << 31, 1L << 32, 1L << 40, 1L << 62, Long.MAX_VALUE, Long.MIN_VALUE};
    /** Operators that nodes become. */
    private static final String[] OPS = ("Identity Cast Add Sub Mul Div Mod Pow Min Max Equal Less And Not IsNaN Where "
            + "Sqrt Reciprocal Tanh Erf Relu Gelu Clip Shape Size Reshape Flatten Squeeze Unsqueeze Transpose Expand "
            + "ConstantOfShape Range Concat Slice Split Gather GatherND CumSum ReduceMean ReduceSum ReduceMax ReduceL2 "
            + "LpNormalization MatMul Gemm Softmax LayerNormalization Constant Attention").split(" ");

    /** A field: a number (Long), bytes, or a message ({@code List<Field>}). */
    private record Field(int number, int wireType, Object value) {}

    private final Random random;
    private final List<Field> model;
    private final List<byte[]> texts = new ArrayList<>();

    public OnnxMutator(byte[] model, Random random) throws IOException {
        this.random = random;
        this.model = parse(model, "");
        collect(this.model);
    }

    /** Short texts are mostly names of values, with which nodes are wired in other ways. */
    private void collect(List<Field> fields) {
        for (Field field : fields) {
            List<Field> inner = message(field);
            if (inner != null) {
                collect(inner);
            } else if (field.value instanceof byte[] bytes && bytes.length <= 20) {
                texts.add(bytes);
            }
        }
    }

    /** The model with one to three changes. */
    public byte[] mutant() throws IOException {
        List<Field> mutant = copy(model);
        for (int i = random.nextInt(3); i >= 0; i--) {
            change(mutant);
        }
        byte[] bytes = write(mutant);
        if (random.nextInt(8) == 0 && bytes.length > 0) {
            bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
        }
        return random.nextInt(16) == 0 ? Arrays.copyOf(bytes, random.nextInt(bytes.length + 1)) : bytes;
    }

    private static List<Field> parse(byte[] bytes, String path) throws IOException {
        List<Field> fields = new ArrayList<>();
        CodedInputStream in = CodedInputStream.newInstance(bytes);
        for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
            int number = WireFormat.getTagFieldNumber(tag);
            int wireType = WireFormat.getTagWireType(tag);
            String inner = path + "/" + number;
            Object value = switch (wireType) {
                case WireFormat.WIRETYPE_VARINT -> in.readRawVarint64();
                case WireFormat.WIRETYPE_FIXED32 -> (long) in.readRawLittleEndian32();
                case WireFormat.WIRETYPE_FIXED64 -> in.readRawLittleEndian64();
                default -> {
                    byte[] content = in.readByteArray();
                    yield MESSAGES.contains(inner) ? parse(content, inner) : content;
                }
            };
            fields.add(new Field(number, wireType, value));
        }
        return fields;
    }

    @SuppressWarnings("unchecked")
    private static List<Field> message(Field field) {
        return field.value instanceof List<?> ? (List<Field>) field.value : null;
    }

    private static List<Field> copy(List<Field> fields) {
        List<Field> copy = new ArrayList<>();
        for (Field field : fields) {
            List<Field> inner = message(field);
            copy.add(inner == null ? field : new Field(field.number, field.wireType, copy(inner)));
        }
        return copy;
    }

    private static byte[] write(List<Field> fields) {
        return OnnxBuilder.message(out -> {
            for (Field field : fields) {
                write(out, field);
            }
        });
    }

    private static void write(CodedOutputStream out, Field field) throws IOException {
        out.writeUInt32NoTag(field.number << 3 | field.wireType);
        List<Field> inner = message(field);
        if (inner != null) {
            out.writeByteArrayNoTag(write(inner));
        } else if (field.value instanceof byte[] bytes) {
            out.writeByteArrayNoTag(bytes);
        } else {
            switch (field.wireType) {
                case WireFormat.WIRETYPE_FIXED32 -> out.writeFixed32NoTag((int) (long) field.value);
                case WireFormat.WIRETYPE_FIXED64 -> out.writeFixed64NoTag((long) field.value);
                default -> out.writeUInt64NoTag((long) field.value);
            }
        }
    }

    /** One change in a message, chosen by going down at random. */
    private void change(List<Field> message) {
        if (message.isEmpty()) {
            return;
        }
        int i = random.nextInt(message.size());
        if (message.size() < 5 && random.nextInt(10) != 0) {
            // Of the few fields of a model, the graph.
            i = IntStream.range(0, message.size()).filter(k -> message(message.get(k)) != null).findFirst().orElse(i);
        }
        Field field = message.get(i);
        List<Field> inner = message(field);
        if (inner != null && random.nextInt(10) != 0) {
            change(inner);
            return;
        }
        int j = random.nextInt(message.size());
        switch (random.nextInt(7)) {
            case 0 -> message.remove(i);
            case 1 -> message.add(j, field);
            case 2 -> {
                message.set(i, message.get(j));
                message.set(j, field);
            }
            case 3 -> message.set(i, new Field(field.number, message.get(j).wireType, message.get(j).value));
            case 4 -> message.set(i, new Field(1 + random.nextInt(20), field.wireType, field.value));
            default -> message.set(i, new Field(field.number, field.wireType, changed(field.value)));
        }
    }

    private Object changed(Object value) {
        if (value instanceof Long number) {
            return random.nextInt(3) == 0 ? number + random.nextInt(5) - 2 : NUMBERS[random.nextInt(NUMBERS.length)];
        }
        if (value instanceof byte[] bytes) {
            byte[] changed = Arrays.copyOf(bytes, random.nextInt(3) > 0 ? bytes.length
                    : random.nextInt(bytes.length + 4));
            if (changed.length > 0) {
                changed[random.nextInt(changed.length)] = (byte) random.nextInt();
            }
            return switch (random.nextInt(6)) {
                case 0 -> OPS[random.nextInt(OPS.length)].getBytes(StandardCharsets.UTF_8);
                case 1, 2, 3 -> texts.get(random.nextInt(texts.size()));
                default -> changed;
            };
        }
        return value;
    }
}
