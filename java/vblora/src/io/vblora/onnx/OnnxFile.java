package io.vblora.onnx;

import io.vblora.InputException;
import io.vblora.kernels.NativeFile;
import io.vblora.kernels.Tensor;
import io.vblora.weights.Reading;
import io.vblora.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * An ONNX model, open for reading: its graph and, as a {@link WeightSource}, its constants, which are initialisers and
 * outputs of {@code Constant} nodes, under the names that they have in the graph. Opening reads and checks everything
 * but the tensors' bytes, which are read on demand; data outside the file is read from files of the same folder only.
 * Reading tensors is safe from several threads.
 */
public final class OnnxFile implements WeightSource {
    private final Path path;
    private final OnnxGraph graph;
    private final List<NativeFile> files;
    private final Map<String, OnnxNode> producers = new HashMap<>();

    private OnnxFile(Path path, OnnxGraph graph, List<NativeFile> files) {
        this.path = path;
        this.graph = graph;
        this.files = files;
    }

    /**
     * Opens a model.
     *
     * @throws InputException naming the file, the part of it, what was found and what was expected: if it is not an
     *     ONNX model, if a tensor's size disagrees with its shape, or if a node reads what no earlier one writes
     */
    public static OnnxFile open(Path path) {
        List<NativeFile> files = new ArrayList<>();
        try {
            files.add(Reading.open(path, "an ONNX file"));
            OnnxFile file = new OnnxFile(path, OnnxReader.read(path, files), files);
            file.connect();
            return file;
        } catch (RuntimeException | Error e) {
            files.forEach(NativeFile::close);
            throw e;
        }
    }

    private void connect() {
        Set<String> defined = new HashSet<>(graph.inputs());
        if (defined.size() < graph.inputs().size()) {
            throw new InputException(path, "graph.input", "two inputs of one name", "different names");
        }
        defined.addAll(graph.tensors().keySet());
        for (OnnxNode node : graph.nodes()) {
            for (String input : node.inputs()) {
                if (!input.isEmpty() && !defined.contains(input)) {
                    throw node.refused("input \"" + input + "\", which nothing before it gives",
                            "nodes in the order of their execution");
                }
            }
            for (String output : node.outputs()) {
                if (!output.isEmpty() && !defined.add(output)) {
                    throw node.refused("output \"" + output + "\", which there is already", "a name of its own");
                }
                producers.put(output, node);
            }
        }
        for (String output : graph.outputs()) {
            if (!defined.contains(output)) {
                throw new InputException(path, "graph.output", "\"" + output + "\", which no node gives",
                        "a value of the graph");
            }
        }
    }

    public Path path() {
        return path;
    }

    /** Version of ONNX's own operators. */
    public long opset() {
        return graph.opset();
    }

    /** The nodes except {@code Constant} ones, in the order of their execution. */
    public List<OnnxNode> nodes() {
        return graph.nodes();
    }

    /** Names of the inputs, without those to which initialisers give a value. */
    public List<String> inputs() {
        return graph.inputs();
    }

    /** Names of the outputs. */
    public List<String> outputs() {
        return graph.outputs();
    }

    /** The node that produces a value; null for inputs and constants. */
    public OnnxNode producer(String value) {
        return producers.get(value);
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(graph.tensors().keySet());
    }

    /** A constant. */
    OnnxTensor tensor(String name) {
        OnnxTensor tensor = graph.tensors().get(name);
        if (tensor == null) {
            throw new InputException(path, name, "no tensor of this name", "one of the graph's " + names().size()
                    + " constants");
        }
        return tensor;
    }

    @Override
    public Entry entry(String name) {
        return tensor(name).entry();
    }

    @Override
    public Path file(String name) {
        return tensor(name).path();
    }

    @Override
    public void readInto(String name, Tensor destination) {
        tensor(name).readInto(name, destination);
    }

    @Override
    public Tensor readFloat32(String name) {
        return tensor(name).readFloat32(name);
    }

    @Override
    public void close() {
        files.forEach(NativeFile::close);
    }
}
