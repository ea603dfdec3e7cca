package io.vblora.onnx;

import io.vblora.InputException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A node of a graph.
 *
 * @param file the ONNX file, for messages
 * @param index its place in the graph; what it reads was produced before it
 * @param name its name, which may be empty
 * @param op the operator, with its domain before a colon unless that is ONNX's own: "MatMul", "com.microsoft:Attention"
 * @param inputs names of values, "" for an optional one that is left out
 * @param outputs names of values, "" for one that is not used
 * @param attributes by name: Long, Float, String, {@code List<Long>}, {@code List<Float>}, OnnxTensor or, for any other
 *     type, {@link #OTHER}
 */
public record OnnxNode(Path file, int index, String name, String op, List<String> inputs, List<String> outputs,
        Map<String, Object> attributes) {

    /** Stands for an attribute of a type that is not read. */
    public static final Object OTHER = new Object();

    /** Whether the node has an input of this number. */
    public boolean hasInput(int i) {
        return i < inputs.size() && !inputs.get(i).isEmpty();
    }

    /**
     * The name of an input.
     *
     * @throws InputException if the node has none of this number
     */
    public String input(int i) {
        if (!hasInput(i)) {
            throw refused("no input " + i, "one");
        }
        return inputs.get(i);
    }

    public boolean hasAttribute(String attribute) {
        return attributes.containsKey(attribute);
    }

    /**
     * An attribute.
     *
     * @throws InputException if it has another type, or if it is missing and {@code otherwise} is null
     */
    public <T> T attribute(String attribute, Class<T> type, T otherwise) {
        Object value = attributes.getOrDefault(attribute, otherwise);
        if (!type.isInstance(value)) {
            throw refused("attribute " + attribute + (value == null ? " missing" : " of another type"),
                    "one of type " + type.getSimpleName());
        }
        return type.cast(value);
    }

    /** An integer attribute, as {@link #attribute}. */
    public long integer(String attribute, Long otherwise) {
        return attribute(attribute, Long.class, otherwise);
    }

    /** An attribute that is a list of integers, as {@link #attribute}. */
    public long[] integers(String attribute) {
        List<?> list = attribute(attribute, List.class, null);
        if (!list.stream().allMatch(Long.class::isInstance)) {
            throw refused("attribute " + attribute + " of another type", "integers");
        }
        return list.stream().mapToLong(Long.class::cast).toArray();
    }

    /** What a message calls this node. */
    public String label() {
        String best = !name.isEmpty() || outputs.isEmpty() ? name : outputs.get(0);
        return "node " + index + " \"" + best + "\" (" + op + ")";
    }

    /** An exception that names this node. */
    public InputException refused(String found, String expected) {
        return new InputException(file, label(), found, expected);
    }
}
