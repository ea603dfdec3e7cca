package io.vblora.optimizer;

import io.vblora.Services;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** All kinds of optimizers, by the name that {@code optim} has for them. This package knows none of them. */
public final class Optimizers {
    /** The name of the one that is taken by default. */
    public static final String DEFAULT = "adamw";

    private Optimizers() {}

    /** All names, the default's first. */
    public static List<String> names() {
        return all().keySet().stream().sorted((a, b) -> Boolean.compare(b.equals(DEFAULT), a.equals(DEFAULT))).toList();
    }

    /** The factory of this name, if there is one. */
    public static Optional<OptimizerFactory> named(String optim) {
        return Optional.ofNullable(all().get(optim));
    }

    /** @throws IllegalStateException if two have the same name */
    private static Map<String, OptimizerFactory> all() {
        Map<String, OptimizerFactory> all = new LinkedHashMap<>();
        for (OptimizerFactory factory : Services.all(OptimizerFactory.class)) {
            OptimizerFactory other = all.put(factory.optim(), factory);
            if (other != null) {
                throw new IllegalStateException("Two optimizers are named " + factory.optim() + ": "
                        + other.getClass().getName() + " and " + factory.getClass().getName());
            }
        }
        return all;
    }
}
