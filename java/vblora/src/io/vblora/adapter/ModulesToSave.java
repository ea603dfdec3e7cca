package io.vblora.adapter;

import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Linear modules that are trained whole and saved beside the low-rank updates, PEFT's {@code modules_to_save}: the
 * heads of a task, which the base model lacks. Of each a weight [out, in] and a bias [out], float32; y = x Wᵀ + bias.
 * Whoever runs the model reads them and adds to their gradients.
 */
public final class ModulesToSave extends FlatParameters {
    private final List<ModuleShape> modules;
    private final Map<String, Linear> parameters;
    private Map<String, Linear> gradients = Map.of();

    /** One module's tensors in a buffer of all. */
    private record Linear(Tensor weight, Tensor bias) {}

    /** Allocates the parameters, all zero. */
    ModulesToSave(Device device, String source, List<ModuleShape> modules) {
        super(device, source, List.of(new Part(ParameterGroup.HEAD, weights(modules)), new Part(
                ParameterGroup.HEAD_BIAS, modules.stream().mapToLong(ModuleShape::outFeatures).sum())));
        this.modules = List.copyOf(modules);
        this.parameters = views(values());
    }

    private static long weights(List<ModuleShape> modules) {
        return modules.stream().mapToLong(m -> m.inFeatures() * m.outFeatures()).sum();
    }

    /**
     * Normal weights and zero biases, from a generator of their own: the same beside whatever else is trained.
     *
     * @param initializerRange standard deviation of the weights
     */
    void initialize(long seed, double initializerRange) {
        SplittableRandom random = new SplittableRandom(seed).split();
        parameters.values()
                .forEach(linear -> Floats.fill(linear.weight, () -> random.nextGaussian() * initializerRange));
        changed();
    }

    /** All weights come first, then all biases. */
    private Map<String, Linear> views(Tensor buffer) {
        Map<String, Linear> views = new LinkedHashMap<>();
        long weight = 0;
        long bias = weights(modules);
        for (ModuleShape m : modules) {
            views.put(m.path(), new Linear(buffer.view(weight, m.outFeatures(), m.inFeatures()),
                    buffer.view(bias, m.outFeatures())));
            weight += m.outFeatures() * m.inFeatures();
            bias += m.outFeatures();
        }
        return views;
    }

    /** The modules, ordered by path, numbers in it by value. */
    public List<ModuleShape> modules() {
        return modules;
    }

    /**
     * Weight of a module, float32 [out, in]; its memory stays the same for the adapter's life.
     *
     * @throws IllegalArgumentException if there is no module of this path
     */
    public Tensor weight(String path) {
        return linear(parameters, path).weight;
    }

    /** Bias of a module, float32 [out]; as {@link #weight}. */
    public Tensor bias(String path) {
        return linear(parameters, path).bias;
    }

    /**
     * Gradient of a weight, float32 [out, in], to be added to.
     *
     * @throws IllegalArgumentException if there is no module of this path
     * @throws IllegalStateException unless training is enabled
     */
    public Tensor weightGradient(String path) {
        gradient();
        return linear(gradients, path).weight;
    }

    /** Gradient of a bias, float32 [out], to be added to; as {@link #weightGradient}. */
    public Tensor biasGradient(String path) {
        gradient();
        return linear(gradients, path).bias;
    }

    private Linear linear(Map<String, Linear> linears, String path) {
        Linear linear = linears.get(path);
        if (linear == null) {
            throw new IllegalArgumentException(path + " is none of the modules to save: "
                    + String.join(", ", parameters.keySet()));
        }
        return linear;
    }

    @Override
    public void enableTraining(Stream stream, double weightDecay) {
        super.enableTraining(stream, weightDecay);
        gradients = views(gradient());
    }

    @Override
    NamedTensors named(Tensor buffer, NamedTensors result) {
        views(buffer).forEach((path, linear) -> {
            result.view(PeftKeys.weight(path), linear.weight);
            result.view(PeftKeys.bias(path), linear.bias);
        });
        return result;
    }

    @Override
    void copy(Map<String, Tensor> from, Tensor buffer) {
        named(buffer, new NamedTensors(buffer.device())).copyFrom(from);
    }
}
