package io.vblora.model;

import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.kernels.Tensor;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** What an adapter has of the parts of a model. What has been looked up by name is kept: passes ask for it often. */
final class AttachedAdapter {
    private final Adapter adapter;
    private final Map<LinearGroup, Optional<GroupUpdate>> updates = new ConcurrentHashMap<>();
    private final Map<Parameter, Optional<Tensor>> values = new ConcurrentHashMap<>();

    AttachedAdapter(Adapter adapter) {
        this.adapter = adapter;
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
        return values.computeIfAbsent(parameter, p -> Optional.ofNullable(
                adapter.wholeParameters().holds(p.name()) ? adapter.wholeParameters().value(p.name()) : null))
                .orElse(null);
    }

    Tensor gradient(Parameter parameter) {
        return adapter.wholeParameters().gradient(parameter.name());
    }

    /** What it has of linear layers, or null if that is nothing. */
    GroupUpdate update(LinearGroup group) {
        return updates.computeIfAbsent(group, g -> GroupUpdate.of(adapter, g)).orElse(null);
    }

    boolean hasAnyOf(ModelPart part) {
        return part.parameters().stream().anyMatch(parameter -> value(parameter) != null)
                || part.linears().stream().anyMatch(linear -> adapter.module(linear.path()).isPresent());
    }
}
