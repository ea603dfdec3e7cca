package io.vblora.optimizer;

import io.vblora.Services;
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

    /** @throws io.vblora.ServicesException if two have the same name, or one cannot be used */
    private static Map<String, OptimizerFactory> all() {
        return Services.byName(Services.all(OptimizerFactory.class), OptimizerFactory::optim,
                "Two optimizers are named");
    }
}
