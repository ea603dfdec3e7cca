package io.vblora.model;

import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.kernels.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** What an adapter has of the parts of a model. What has been looked up by name is kept: passes ask for it often. */
final class AttachedAdapter {
    private final Adapter adapter;
    private final Set<Parameter> parameters;
    private final Set<String> linears;
    private final Map<LinearGroup, Optional<GroupUpdate>> updates = new ConcurrentHashMap<>();
    private final Map<Parameter, Optional<Tensor>> values = new ConcurrentHashMap<>();

    /** @param parts of the model; the adapter may have more, which takes no part in this use of the model */
    AttachedAdapter(Adapter adapter, List<? extends ModelPart> parts) {
        this.adapter = adapter;
        this.parameters = parts.stream().flatMap(part -> part.parameters().stream()).collect(Collectors.toSet());
        this.linears = parts.stream().flatMap(part -> part.linears().stream()).map(Linear::path)
                .collect(Collectors.toSet());
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
        return values.computeIfAbsent(parameter, p -> {
            boolean held = parameters.contains(p) && adapter.wholeParameters().holds(p.name());
            return held ? Optional.of(adapter.wholeParameters().value(p.name())) : Optional.empty();
        }).orElse(null);
    }

    Tensor gradient(Parameter parameter) {
        return adapter.wholeParameters().gradient(parameter.name());
    }

    /** What it has of linear layers, or null if that is nothing. */
    GroupUpdate update(LinearGroup group) {
        return updates.computeIfAbsent(group, g -> GroupUpdate.of(this, g)).orElse(null);
    }

    /** The update of a linear layer, if it has one. */
    Optional<AdaptedModule> module(Linear linear) {
        return linears.contains(linear.path()) ? adapter.module(linear.path()) : Optional.empty();
    }

    boolean holdsAnyOf(ModelPart part) {
        return part.parameters().stream().anyMatch(parameter -> value(parameter) != null)
                || part.linears().stream().anyMatch(linear -> module(linear).isPresent());
    }
}
