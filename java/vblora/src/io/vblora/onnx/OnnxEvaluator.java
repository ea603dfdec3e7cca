package io.vblora.onnx;

import io.vblora.InputException;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Finds out what a graph computes by running it for small inputs, so that it does not matter how an exporter has
 * expressed it. A first pass determines the shape of every value, and the numbers of all values that do not depend on
 * rows of an embedding table: positions, masks, shapes. After that, the graph between two values can be run with
 * numbers of the caller's choice ({@link #evaluate}). Arithmetic is float64; casts to narrower floats do not round.
 * Nothing recurses, and both the amount that is computed and the amount held at a time are bounded.
 */
public final class OnnxEvaluator {
    /** Larger constants are not read: their numbers stay unknown. */
    private static final long MAX_CONSTANT = 1 << 16;
    private static final long MAX_WORK = 1L << 30;
    /** The most numbers held by the first pass and by each run: 128 MiB. For bge-small the first pass holds 62,548. */
    private static final long MAX_HELD = 1 << 24;
    private static final String TOO_MUCH = "a graph of which more than " + MAX_HELD + " numbers have to be kept for a "
            + "few tokens";

    private final OnnxFile file;
    private final Map<String, OnnxValue> values = new HashMap<>();
    /** Why values could not be evaluated. */
    private final Map<String, InputException> failures = new HashMap<>();
    private final Held held = new Held();
    private long work;

    /**
     * Runs the first pass.
     *
     * @param inputs values for all inputs of the graph
     */
    public OnnxEvaluator(OnnxFile file, Map<String, OnnxValue> inputs) {
        this.file = file;
        values.putAll(inputs);
        for (OnnxNode node : file.nodes()) {
            try {
                new Run(Map.of()).node(node);
            } catch (InputException e) {
                node.outputs().forEach(output -> failures.put(output, e));
            }
        }
    }

    /**
     * What the first pass found.
     *
     * @throws InputException if the value depends on a node that cannot be evaluated; it names that node
     */
    public OnnxValue value(String name) {
        OnnxValue value = values.get(name);
        if (value == null && file.contains(name)) {
            value = constant(name);
            if (value.isKnown() && !held.add(value.data().length)) {
                throw new InputException(file.path(), name, TOO_MUCH, "an encoder");
            }
            values.put(name, value);
        }
        if (value == null) {
            InputException failure = failures.get(name);
            throw failure != null ? failure
                    : new InputException(file.path(), name, "no such value", "a value of the graph");
        }
        return value;
    }

    private OnnxValue constant(String name) {
        OnnxTensor tensor = file.tensor(name);
        double[] data = tensor.entry().elements() <= MAX_CONSTANT ? tensor.numbers(name) : null;
        return new OnnxValue(tensor.kind(), tensor.entry().dimensions(), data, false);
    }

    /**
     * Evaluates the part of the graph that lies between some values and another one, with given numbers for the former.
     *
     * @throws InputException if a node between them cannot be evaluated, or the given numbers do not suffice
     */
    public OnnxValue evaluate(String target, Map<String, OnnxValue> given) {
        Set<OnnxNode> needed = new HashSet<>();
        walk(target, name -> given.containsKey(name), (name, node) -> needed.add(node));
        Run run = new Run(given);
        needed.stream().sorted(Comparator.comparingInt(OnnxNode::index)).forEach(run::node);
        OnnxValue result = run.value(target);
        if (!result.isKnown()) {
            throw new InputException(file.path(), target, "a value that depends on more than \""
                    + String.join("\", \"", given.keySet()) + "\"", "one that it alone decides");
        }
        return result;
    }

    /**
     * The values that {@code target} is computed from. The way back through hidden values ends at those for which
     * {@code stop} holds, and at a hidden value that no other hidden value leads to.
     */
    public Set<String> sources(String target, Predicate<String> stop) {
        Set<String> sources = new LinkedHashSet<>();
        walk(target, name -> {
            boolean end = stop.test(name) || !leadsBack(name);
            if (end) {
                sources.add(name);
            }
            return end;
        }, (name, node) -> {});
        return sources;
    }

    private boolean leadsBack(String name) {
        OnnxNode node = file.producer(name);
        return node != null && node.inputs().stream().anyMatch(input -> !input.isEmpty() && value(input).hidden());
    }

    /** What is done with a value and the node that produces it. */
    @FunctionalInterface
    private interface Visitor {
        void visit(String name, OnnxNode node);
    }

    private void walk(String target, Predicate<String> stop, Visitor visitor) {
        Deque<String> open = new ArrayDeque<>(Set.of(target));
        Set<String> seen = new HashSet<>(open);
        while (!open.isEmpty()) {
            String name = open.pop();
            if (stop.test(name)) {
                continue;
            }
            OnnxNode node = file.producer(name);
            if (node == null) {
                continue;
            }
            visitor.visit(name, node);
            for (String input : node.inputs()) {
                if (!input.isEmpty() && value(input).hidden() && seen.add(input)) {
                    open.push(input);
                }
            }
        }
    }

    /** Counts the numbers that are held. */
    private static final class Held {
        private long numbers;

        /** Whether there was room for this many more; if not, nothing has changed. */
        boolean add(long more) {
            boolean fits = more <= MAX_HELD - numbers;
            numbers += fits ? more : 0;
            return fits;
        }
    }

    /** Values computed from given ones. */
    private final class Run implements OnnxOps.Context {
        private final Map<String, OnnxValue> results;
        private final Held heldHere;

        Run(Map<String, OnnxValue> given) {
            results = given.isEmpty() ? values : new HashMap<>(given);
            heldHere = given.isEmpty() ? held : new Held();
        }

        @Override
        public OnnxValue value(String name) {
            OnnxValue own = results.get(name);
            return own != null ? own : OnnxEvaluator.this.value(name);
        }

        @Override
        public long opset() {
            return file.opset();
        }

        @Override
        public boolean isConstant(String name) {
            String at = name;
            for (OnnxNode node = file.producer(at); node != null && (node.op().equals("Cast")
                    || node.op().equals("Identity")); node = file.producer(at)) {
                at = node.input(0);
            }
            return file.contains(at);
        }

        @Override
        public void charge(OnnxNode node, long amount) {
            work += amount;
            if (work > MAX_WORK) {
                throw node.refused("a graph that computes more than " + MAX_WORK + " numbers for "
                        + "a few tokens", "an encoder");
            }
        }

        @Override
        public void hold(OnnxNode node, long amount) {
            if (!heldHere.add(amount)) {
                throw node.refused(TOO_MUCH, "an encoder");
            }
        }

        void node(OnnxNode node) {
            OnnxValue[] outputs = OnnxOps.evaluate(node, this);
            for (int i = 0; i < Math.min(outputs.length, node.outputs().size()); i++) {
                results.put(node.outputs().get(i), outputs[i]);
            }
        }
    }
}
