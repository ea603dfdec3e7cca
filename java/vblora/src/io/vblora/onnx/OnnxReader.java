package io.vblora.onnx;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.WireFormat;
import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.NativeFile;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Reads the messages of an ONNX file, by the field numbers of onnx.proto:
 *
 * <pre>
 * ModelProto           graph 7, opset_import 8
 * OperatorSetIdProto   domain 1, version 2
 * GraphProto           node 1, initializer 5, input 11, output 12, sparse_initializer 15
 * ValueInfoProto       name 1
 * NodeProto            input 1, output 2, name 3, op_type 4, attribute 5, domain 7
 * AttributeProto       name 1, f 2, i 3, s 4, t 5, floats 7, ints 8, type 20
 * TensorProto          {@link OnnxTensorReader}
 * </pre>
 *
 * Other fields are skipped. Subgraphs are not entered, so nothing nests without end.
 */
final class OnnxReader {
    /** The most nodes, tensors, names and numbers of attributes, each, in a graph; real ones have some thousands. */
    private static final int MAX_ITEMS = 1 << 20;
    private static final int MAX_OUTPUTS = 1 << 10;

    private final Path path;
    private final CodedInputStream in;
    private final OnnxTensorReader tensorReader;
    private final List<OnnxNode> nodes = new ArrayList<>();
    private final List<String> declaredInputs = new ArrayList<>();
    private final List<String> outputs = new ArrayList<>();
    private final Map<String, OnnxTensor> tensors = new LinkedHashMap<>();
    private long opset;
    private boolean graphRead;
    private int nodesRead;
    private int items;
    private String place = "model";

    private OnnxReader(Path path, CodedInputStream in, List<NativeFile> files) {
        this.path = path;
        this.in = in;
        this.tensorReader = new OnnxTensorReader(path, in, files);
    }

    /**
     * Reads everything but the tensors' bytes.
     *
     * @param files the model's file, open; files with external data are added
     */
    static OnnxGraph read(Path path, List<NativeFile> files) {
        if (files.get(0).size() > Integer.MAX_VALUE) {
            throw new InputException(path, "", "a file of " + files.get(0).size() + " bytes",
                    "at most 2^31 - 1, the limit of the format; larger models keep tensors in files of their own");
        }
        try (InputStream stream = Files.newInputStream(path)) {
            OnnxReader reader = new OnnxReader(path, CodedInputStream.newInstance(stream), files);
            try {
                return reader.model();
            } catch (InvalidProtocolBufferException e) {
                throw new InputException(path.toString(), reader.place,
                        "bytes that break the format: " + e.getMessage(), "an ONNX model", e);
            }
        } catch (IOException e) {
            throw new InputException(path.toString(), "", e.toString(), "a readable file", e);
        }
    }

    /** Reads one field of a message; false if the field is not one of those that are read. */
    @FunctionalInterface
    interface Field {
        boolean read(int number, int wireType) throws IOException;
    }

    /** Reads all fields up to the current limit. */
    static void fields(CodedInputStream in, Field field) throws IOException {
        for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
            int wireType = WireFormat.getTagWireType(tag);
            if (!field.read(WireFormat.getTagFieldNumber(tag), wireType) && !in.skipField(tag)) {
                throw new InvalidProtocolBufferException("a group that ends where none began");
            }
        }
    }

    /** Reads an embedded message. */
    static void message(CodedInputStream in, int wireType, Field field) throws IOException {
        expect(wireType, WireFormat.WIRETYPE_LENGTH_DELIMITED);
        int limit = in.pushLimit(in.readRawVarint32());
        fields(in, field);
        in.popLimit(limit);
    }

    static void expect(int wireType, int expected) throws IOException {
        if (wireType != expected) {
            throw new InvalidProtocolBufferException("wire type " + wireType + " where " + expected + " belongs");
        }
    }

    static String string(CodedInputStream in, int wireType) throws IOException {
        expect(wireType, WireFormat.WIRETYPE_LENGTH_DELIMITED);
        return in.readStringRequireUtf8();
    }

    static long varint(CodedInputStream in, int wireType) throws IOException {
        expect(wireType, WireFormat.WIRETYPE_VARINT);
        return in.readRawVarint64();
    }

    private void count() {
        if (++items > MAX_ITEMS) {
            throw new InputException(path, place, "more than " + MAX_ITEMS + " nodes, tensors and attributes",
                    "the graph of a model");
        }
    }

    private OnnxGraph model() throws IOException {
        fields(in, (number, wireType) -> {
            switch (number) {
                case 7 -> {
                    if (graphRead) {
                        throw new InputException(path, "graph", "a second one", "one graph");
                    }
                    graphRead = true;
                    message(in, wireType, this::graphField);
                    place = "model";
                }
                case 8 -> opsetImport(wireType);
                default -> {
                    return false;
                }
            }
            return true;
        });
        if (!graphRead) {
            throw new InputException(path, "graph", "none", "an ONNX model");
        }
        if (opset < 1) {
            throw new InputException(path, "opset_import", "no version of ONNX's operators", "one");
        }
        Set<String> inputs = new LinkedHashSet<>(declaredInputs);
        if (inputs.size() < declaredInputs.size()) {
            throw new InputException(path, "graph.input", "two inputs of one name", "different names");
        }
        inputs.removeAll(tensors.keySet());
        return new OnnxGraph(opset, List.copyOf(nodes), List.copyOf(inputs), List.copyOf(outputs), tensors);
    }

    private void opsetImport(int wireType) throws IOException {
        String[] domain = {""};
        long[] version = {0};
        message(in, wireType, (number, type) -> {
            switch (number) {
                case 1 -> domain[0] = string(in, type);
                case 2 -> version[0] = varint(in, type);
                default -> {
                    return false;
                }
            }
            return true;
        });
        if (isOwn(domain[0])) {
            opset = version[0];
        }
    }

    private static boolean isOwn(String domain) {
        return domain.isEmpty() || domain.equals("ai.onnx");
    }

    private boolean graphField(int number, int wireType) throws IOException {
        switch (number) {
            case 1 -> node(wireType);
            case 5 -> {
                count();
                place = "graph.initializer " + tensors.size();
                OnnxTensorReader.Named initialiser = tensorReader.read(wireType);
                add(initialiser.name(), initialiser.tensor());
            }
            case 11 -> declaredInputs.add(valueInfo(wireType));
            case 12 -> {
                outputs.add(valueInfo(wireType));
                if (outputs.size() > MAX_OUTPUTS) {
                    throw new InputException(path, "graph.output", "more than " + MAX_OUTPUTS,
                            "the outputs of a model");
                }
            }
            case 15 -> throw new InputException(path, "graph.sparse_initializer", "sparse tensors", "dense ones");
            default -> {
                return false;
            }
        }
        return true;
    }

    private void add(String name, OnnxTensor tensor) {
        if (name.isEmpty() || tensors.putIfAbsent(name, tensor) != null) {
            throw new InputException(path, place, name.isEmpty() ? "no name" : "a second tensor \"" + name + "\"",
                    "a name of its own");
        }
    }

    private String valueInfo(int wireType) throws IOException {
        count();
        String[] name = {""};
        message(in, wireType, (number, type) -> {
            if (number == 1) {
                name[0] = string(in, type);
            }
            return number == 1;
        });
        return name[0];
    }

    private void node(int wireType) throws IOException {
        count();
        place = "graph.node " + nodesRead++;
        String[] texts = {"", "", ""}; // name, operator, domain
        List<String> inputs = new ArrayList<>();
        List<String> results = new ArrayList<>();
        Map<String, Object> attributes = new HashMap<>();
        message(in, wireType, (number, type) -> {
            switch (number) {
                case 1, 2 -> {
                    count();
                    (number == 1 ? inputs : results).add(string(in, type));
                }
                case 3 -> texts[0] = string(in, type);
                case 4 -> texts[1] = string(in, type);
                case 5 -> attribute(type, attributes);
                case 7 -> texts[2] = string(in, type);
                default -> {
                    return false;
                }
            }
            return true;
        });
        String op = isOwn(texts[2]) ? texts[1] : texts[2] + ":" + texts[1];
        OnnxNode node = new OnnxNode(path, nodesRead - 1, texts[0], op, List.copyOf(inputs), List.copyOf(results),
                attributes);
        if (!op.equals("Constant")) {
            nodes.add(node);
        } else if (results.size() == 1) {
            add(results.get(0), constant(node));
        } else {
            throw node.refused(results.size() + " outputs", "one");
        }
    }

    private OnnxTensor constant(OnnxNode node) {
        Object value = node.attributes().get("value");
        if (value instanceof OnnxTensor tensor) {
            return tensor;
        }
        for (Map.Entry<String, Object> e : node.attributes().entrySet()) {
            List<?> list = e.getValue() instanceof List<?> items ? items : List.of(e.getValue());
            List<Long> shape = e.getValue() instanceof List<?> ? List.of((long) list.size()) : List.of();
            switch (e.getKey()) {
                case "value_float", "value_floats" -> {
                    ByteBuffer bytes = ByteBuffer.allocate(list.size() * Float.BYTES).order(ByteOrder.nativeOrder());
                    list.forEach(item -> bytes.putFloat(item instanceof Float f ? f : Float.NaN));
                    return OnnxTensorReader.inMemory(path, DType.FLOAT32, shape, bytes.array());
                }
                case "value_int", "value_ints" -> {
                    ByteBuffer bytes = ByteBuffer.allocate(list.size() * Long.BYTES).order(ByteOrder.nativeOrder());
                    list.forEach(item -> bytes.putLong(item instanceof Long i ? i : 0));
                    return OnnxTensorReader.inMemory(path, DType.INT64, shape, bytes.array());
                }
                default -> {}
            }
        }
        throw node.refused("attributes " + node.attributes().keySet(), "value, value_float(s) or value_int(s)");
    }

    private void attribute(int wireType, Map<String, Object> attributes) throws IOException {
        count();
        String[] name = {""};
        Object[] value = {null};
        long[] declared = {0};
        List<Object> list = new ArrayList<>();
        message(in, wireType, (number, type) -> {
            switch (number) {
                case 1 -> name[0] = string(in, type);
                case 2 -> {
                    expect(type, WireFormat.WIRETYPE_FIXED32);
                    value[0] = in.readFloat();
                }
                case 3 -> value[0] = varint(in, type);
                case 4 -> {
                    expect(type, WireFormat.WIRETYPE_LENGTH_DELIMITED);
                    value[0] = in.readBytes().toStringUtf8();
                }
                case 5 -> value[0] = tensorReader.read(type).tensor();
                case 7 -> repeated(type, WireFormat.WIRETYPE_FIXED32, list, in::readFloat);
                case 8 -> repeated(type, WireFormat.WIRETYPE_VARINT, list, in::readRawVarint64);
                case 20 -> declared[0] = varint(in, type);
                default -> {
                    return false;
                }
            }
            return true;
        });
        // AttributeProto.type: FLOAT 1, INT 2, STRING 3, TENSOR 4, FLOATS 6, INTS 7. Zeros may be left out of a file.
        Object result = switch ((int) declared[0]) {
            case 0 -> value[0] != null ? value[0] : list.isEmpty() ? OnnxNode.OTHER : List.copyOf(list);
            case 1 -> value[0] == null ? 0f : value[0];
            case 2 -> value[0] == null ? 0L : value[0];
            case 3 -> value[0] == null ? "" : value[0];
            case 4 -> value[0] == null ? OnnxNode.OTHER : value[0];
            case 6, 7 -> List.copyOf(list);
            default -> OnnxNode.OTHER;
        };
        if (attributes.putIfAbsent(name[0], result) != null) {
            throw new InputException(path, place, "a second attribute \"" + name[0] + "\"", "a name of its own");
        }
    }

    /** Reads one number of a repeated field. */
    @FunctionalInterface
    private interface NumberReader {
        Object read() throws IOException;
    }

    /** Reads a repeated field, packed or not. */
    private void repeated(int wireType, int numberType, List<Object> list, NumberReader reader) throws IOException {
        if (wireType == numberType) {
            count();
            list.add(reader.read());
            return;
        }
        expect(wireType, WireFormat.WIRETYPE_LENGTH_DELIMITED);
        int limit = in.pushLimit(in.readRawVarint32());
        while (!in.isAtEnd()) {
            count();
            list.add(reader.read());
        }
        in.popLimit(limit);
    }
}
