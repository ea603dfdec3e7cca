package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.kernels.Tensor;
import java.util.List;

/** The weights of the base model's linear layers, for methods whose updates are made from them. */
public final class BaseWeights {
    private final String source;
    private final List<ModelParameter> parameters;

    /**
     * @param source what messages call the adapter
     * @param parameters those that the model offers
     */
    BaseWeights(String source, List<ModelParameter> parameters) {
        this.source = source;
        this.parameters = parameters;
    }

    /**
     * The weight of the module with this path, as the model has it: in any native type, on the model's device, [out,
     * in], or [in, out] if its {@link #shape} says fanInFanOut, as GPT-2's Conv1D does. The model owns it.
     *
     * @throws InputException if the model was not given, or does not offer it
     */
    public Tensor of(String path) {
        return parameter(path).values();
    }

    /**
     * The dimensions of the module with this path, and how its weight is stored.
     *
     * @throws InputException as {@link #of}
     */
    public ModuleShape shape(String path) {
        ModelParameter weight = parameter(path);
        long first = weight.shape().get(0);
        long second = weight.shape().get(1);
        return weight.fanInFanOut() ? new ModuleShape(path, first, second, true)
                : new ModuleShape(path, second, first);
    }

    private ModelParameter parameter(String path) {
        String name = path + PeftKeys.WEIGHT;
        return parameters.stream().filter(parameter -> parameter.name().equals(name) && !parameter.isHead()).findFirst()
                .orElseThrow(() -> new InputException(source, name, parameters.isEmpty() ? "no parameters of a model"
                        : "a model that does not offer it", "the base model's weight, which the method needs"));
    }
}
