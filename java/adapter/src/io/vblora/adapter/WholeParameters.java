package io.vblora.adapter;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.parameters.FlatParameters;
import io.vblora.parameters.FloatTensors;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.ParameterLayout;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Collectors;

/**
 * Parameters of a model that an adapter holds and trains whole, beside the low-rank updates or alone. They are those of
 * PEFT's {@code modules_to_save}, which are heads of a task, which the base model lacks, or modules of the base model;
 * and the biases that {@code bias} names. Float32. Whoever runs the model reads them in place of the base model's own
 * and adds to their gradients.
 */
public final class WholeParameters extends FlatParameters {
    /** The matrices of a task's head. */
    public static final ParameterGroup HEAD_MATRICES =
            new ParameterGroup("matrices of heads", "learning_rate_head", 5e-3, true);
    /** The vectors of a task's head. */
    public static final ParameterGroup HEAD_VECTORS =
            new ParameterGroup("vectors of heads", "learning_rate_head", 5e-3, false);

    /** In the buffer's order: matrices, then vectors, both ordered by name, with numbers in names ordered by value. */
    private final List<WholeParameter> parameters;
    private final Map<String, Tensor> values;
    private Map<String, Tensor> gradients = Map.of();

    /** Allocates the parameters, all zero. */
    WholeParameters(Device device, String source, List<WholeParameter> parameters) {
        super(device, source, layout(ordered(parameters)));
        this.parameters = ordered(parameters);
        this.values = views(values());
        group(Set.of()); // a guess until a model is known
    }

    private static List<WholeParameter> ordered(List<WholeParameter> parameters) {
        return parameters.stream().sorted((a, b) -> a.isMatrix() != b.isMatrix()
                ? Boolean.compare(b.isMatrix(), a.isMatrix()) : NaturalOrder.INSTANCE.compare(a.name(), b.name()))
                .toList();
    }

    private static ParameterLayout layout(List<WholeParameter> ordered) {
        ParameterLayout.Builder layout = ParameterLayout.builder();
        ordered.forEach(parameter -> layout.add(parameter.key(), parameter.dimensions()));
        return layout.build();
    }

    /**
     * Parameters of the base model begin with its values. Heads begin with normally distributed weights and zero
     * biases, from a generator of their own, so that they are the same whatever else is trained.
     *
     * @param initializerRange standard deviation of a head's weights
     */
    void initialize(List<ModelParameter> model, long seed, double initializerRange, Stream stream) {
        Map<String, Tensor> base = new LinkedHashMap<>();
        model.forEach(parameter -> base.put(parameter.name(), parameter.values()));
        SplittableRandom random = new SplittableRandom(seed).split();
        for (WholeParameter parameter : parameters) {
            Tensor begin = base.get(parameter.name());
            Tensor value = values.get(parameter.name());
            if (begin == null) {
                if (parameter.isMatrix()) {
                    FloatTensors.fill(value, () -> random.nextGaussian() * initializerRange);
                }
            } else if (begin.dtype() == DType.FLOAT32) {
                value.copyFrom(begin);
            } else {
                Memory.convert(stream, begin, value);
            }
        }
        stream.synchronize();
        changed();
    }

    /** Notes which of them a model has as well: these learn at the rate of updates, the others at that of heads. */
    void belongTo(List<ModelParameter> model) {
        group(model.stream().filter(parameter -> !parameter.isHead()).map(ModelParameter::name)
                .collect(Collectors.toSet()));
    }

    /** @param ofBase names of the parameters that the base model has as well */
    private void group(Set<String> ofBase) {
        groups(parameters.stream().map(parameter -> ofBase.contains(parameter.name())
                ? parameter.isMatrix() ? ParameterGroup.MATRICES : ParameterGroup.VECTORS
                : parameter.isMatrix() ? HEAD_MATRICES : HEAD_VECTORS).toList());
    }

    private Map<String, Tensor> views(Tensor buffer) {
        Map<String, Tensor> views = new LinkedHashMap<>();
        for (int i = 0; i < parameters.size(); i++) {
            views.put(parameters.get(i).name(), layout().tensors().get(i).view(buffer));
        }
        return views;
    }

    List<WholeParameter> all() {
        return parameters;
    }

    /** Their names in the model, those of matrices before those of vectors. */
    public List<String> names() {
        return List.copyOf(values.keySet());
    }

    /** Whether some of them belong to a head, which the base model lacks. */
    public boolean holdHead() {
        return groups().contains(HEAD_MATRICES);
    }

    /** Whether one of them has this name. */
    public boolean holds(String name) {
        return values.containsKey(name);
    }

    /**
     * A parameter, float32 in its shape; its memory stays the same for the adapter's life.
     *
     * @throws IllegalArgumentException if there is none of this name
     */
    public Tensor value(String name) {
        return find(values, name);
    }

    /**
     * The gradient of a parameter, float32 in its shape, to be added to.
     *
     * @throws IllegalArgumentException if there is none of this name
     * @throws IllegalStateException unless training is enabled
     */
    public Tensor gradient(String name) {
        gradient();
        return find(gradients, name);
    }

    private Tensor find(Map<String, Tensor> views, String name) {
        Tensor tensor = views.get(name);
        if (tensor == null) {
            throw new IllegalArgumentException(name + " is none of the parameters that are held whole: "
                    + String.join(", ", values.keySet()));
        }
        return tensor;
    }

    @Override
    public void enableTraining(Stream stream) {
        super.enableTraining(stream);
        gradients = views(gradient());
    }

    @Override
    public void zeroGradient(Stream stream) {
        Memory.zero(stream, gradient());
    }
}
