package io.vblora.onnx;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Writes small ONNX models. Values that a method makes are named by number; it returns the name. */
public final class OnnxBuilder {
    /** Types of TensorProto.DataType. */
    public static final int FLOAT = 1;
    public static final int INT64 = 7;
    public static final int BOOL = 9;
    public static final int FLOAT16 = 10;

    /** Writes the fields of a message. */
    @FunctionalInterface
    public interface Fields {
        void write(CodedOutputStream out) throws IOException;
    }

    private final int opset;
    private final List<byte[]> nodes = new ArrayList<>();
    private final Set<String> inputs = new LinkedHashSet<>();
    private final Map<String, Integer> outputs = new LinkedHashMap<>();
    private final List<byte[]> initialisers = new ArrayList<>();
    private int values;

    public OnnxBuilder(int opset) {
        this.opset = opset;
    }

    public int opset() {
        return opset;
    }

    /** The bytes of a message. */
    public static byte[] message(Fields fields) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        CodedOutputStream out = CodedOutputStream.newInstance(bytes);
        try {
            fields.write(out);
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    /** An int64 input [batch, length] with open sizes. */
    public String input(String name) {
        inputs.add(name);
        return name;
    }

    /** Declares a value to be an output of this many dimensions, in float32. */
    public void output(String name, int rank) {
        outputs.put(name, rank);
    }

    public String initialiser(String name, float[] values, long... shape) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return initialiser(name, FLOAT, bytes.array(), shape);
    }

    /** An initialiser with raw_data. */
    public String initialiser(String name, int type, byte[] raw, long... shape) {
        return initialiser(tensor(name, type, shape, out -> out.writeByteArray(9, raw)), name);
    }

    /** An initialiser of any content. */
    public String initialiser(byte[] tensor, String name) {
        initialisers.add(tensor);
        return name;
    }

    /** A TensorProto; {@code data} writes further fields. */
    public static byte[] tensor(String name, int type, long[] shape, Fields data) {
        return message(out -> {
            for (long size : shape) {
                out.writeInt64(1, size);
            }
            out.writeInt32(2, type);
            if (!name.isEmpty()) {
                out.writeString(8, name);
            }
            data.write(out);
        });
    }

    /** A constant number as the output of a Constant node. */
    public String number(float value) {
        return constant(tensor("", FLOAT, new long[0], out -> out.writeByteArray(9, ByteBuffer.allocate(4)
                .order(ByteOrder.LITTLE_ENDIAN).putFloat(value).array())));
    }

    /** A constant list of integers. */
    public String integers(long... values) {
        return constant(tensor("", INT64, new long[] {values.length}, out -> integerData(out, values)));
    }

    /** A constant integer. */
    public String integer(long value) {
        return constant(tensor("", INT64, new long[0], out -> integerData(out, value)));
    }

    private static void integerData(CodedOutputStream out, long... values) throws IOException {
        out.writeByteArray(7, message(packed -> {
            for (long value : values) {
                packed.writeInt64NoTag(value);
            }
        }));
    }

    private String constant(byte[] tensor) {
        return node("Constant", List.of(), Map.of("value", tensor));
    }

    public String node(String op, String... inputNames) {
        return node(op, List.of(inputNames), Map.of());
    }

    public String node(String op, List<String> inputNames, Map<String, Object> attributes) {
        String output = "v" + values++;
        add(op, inputNames, List.of(output), attributes);
        return output;
    }

    /** Adds a node; attributes are Long, Float, String, long[], or byte[] for a TensorProto. */
    public void add(String op, List<String> inputNames, List<String> outputNames, Map<String, Object> attributes) {
        nodes.add(message(out -> {
            for (String name : inputNames) {
                out.writeString(1, name);
            }
            for (String name : outputNames) {
                out.writeString(2, name);
            }
            int colon = op.indexOf(':');
            out.writeString(4, op.substring(colon + 1));
            for (Map.Entry<String, Object> e : attributes.entrySet()) {
                out.writeByteArray(5, attribute(e.getKey(), e.getValue()));
            }
            if (colon > 0) {
                out.writeString(7, op.substring(0, colon));
            }
        }));
    }

    private static byte[] attribute(String name, Object value) {
        return message(out -> {
            out.writeString(1, name);
            if (value instanceof Long i) {
                out.writeInt64(3, i);
                out.writeInt32(20, 2);
            } else if (value instanceof Float f) {
                out.writeFloat(2, f);
                out.writeInt32(20, 1);
            } else if (value instanceof String text) {
                out.writeBytes(4, ByteString.copyFromUtf8(text));
                out.writeInt32(20, 3);
            } else if (value instanceof byte[] tensor) {
                out.writeByteArray(5, tensor);
                out.writeInt32(20, 4);
            } else {
                for (long i : (long[]) value) {
                    out.writeInt64(8, i);
                }
                out.writeInt32(20, 7);
            }
        });
    }

    /** The model. */
    public byte[] build() {
        byte[] graph = message(out -> {
            for (byte[] node : nodes) {
                out.writeByteArray(1, node);
            }
            out.writeString(2, "graph");
            for (byte[] initialiser : initialisers) {
                out.writeByteArray(5, initialiser);
            }
            for (String name : inputs) {
                out.writeByteArray(11, valueInfo(name, INT64, 2));
            }
            for (Map.Entry<String, Integer> e : outputs.entrySet()) {
                out.writeByteArray(12, valueInfo(e.getKey(), FLOAT, e.getValue()));
            }
        });
        return message(out -> {
            out.writeInt64(1, 8);
            out.writeByteArray(7, graph);
            out.writeByteArray(8, message(opsetId -> opsetId.writeInt64(2, opset)));
        });
    }

    private static byte[] valueInfo(String name, int type, int rank) {
        byte[] shape = message(out -> {
            for (int i = 0; i < rank; i++) {
                String size = name + i;
                out.writeByteArray(1, message(dimension -> dimension.writeString(2, size)));
            }
        });
        byte[] tensor = message(out -> {
            out.writeInt32(1, type);
            out.writeByteArray(2, shape);
        });
        return message(out -> {
            out.writeString(1, name);
            out.writeByteArray(2, message(typeProto -> typeProto.writeByteArray(1, tensor)));
        });
    }
}
