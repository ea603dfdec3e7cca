package io.vblora.model;

import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.kernels.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** What an adapter has of the parts of a model, looked up by name once: passes ask for it often. */
final class AttachedAdapter {
    private final Adapter adapter;
    /** The adapter's own values of parameters. */
    private final Map<Parameter, Tensor> values = new HashMap<>();
    /** The updates of linear layers, by path. */
    private final Map<String, AdaptedModule> modules = new HashMap<>();
    /** Filled by the passes, which alone know how layers are grouped. */
    private final Map<LinearGroup, Optional<GroupUpdate>> updates = new ConcurrentHashMap<>();

    /** @param parts of the model; the adapter may have more, which takes no part in this use of the model */
    AttachedAdapter(Adapter adapter, List<? extends ModelPart> parts) {
        this.adapter = adapter;
        for (ModelPart part : parts) {
            part.parameters().stream().filter(parameter -> adapter.wholeParameters().holds(parameter.name()))
                    .forEach(parameter -> values.put(parameter, adapter.wholeParameters().value(parameter.name())));
            part.linears().forEach(linear -> adapter.module(linear.path())
                    .ifPresent(module -> modules.put(linear.path(), module)));
        }
    }

    Adapter adapter() {
        return adapter;
    }

    Updates.AdapterLayout layout() {
        return new Updates.AdapterLayout(adapter.modules().stream()
                .collect(Collectors.toUnmodifiableMap(AdaptedModule::path, AdaptedModule::r)),
                adapter.wholeParameters().names());
    }

    /** The adapter's own values of a parameter, or null. */
    Tensor value(Parameter parameter) {
        return values.get(parameter);
    }

    Tensor gradient(Parameter parameter) {
        return adapter.wholeParameters().gradient(parameter.name());
    }

    /** What it has of linear layers, or null if that is nothing. */
    GroupUpdate update(LinearGroup group) {
        Optional<GroupUpdate> known = updates.get(group);
        return (known != null ? known : updates.computeIfAbsent(group, g -> GroupUpdate.of(this, g))).orElse(null);
    }

    /** The update of a linear layer, or null. */
    AdaptedModule module(Linear linear) {
        return modules.get(linear.path());
    }

    boolean holdsAnyOf(ModelPart part) {
        return part.parameters().stream().anyMatch(values::containsKey)
                || part.linears().stream().map(Linear::path).anyMatch(modules::containsKey);
    }
}
