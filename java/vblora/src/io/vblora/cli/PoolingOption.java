package io.vblora.cli;

import io.vblora.model.config.Pooling;
import java.util.Locale;

/** Values of {@code --pooling}: how an encoder's output becomes one vector per sequence. */
enum PoolingOption {
    AUTO(null), CLS(Pooling.CLS), MEAN(Pooling.MEAN), POOLER(Pooling.POOLER);

    private final Pooling pooling;

    PoolingOption(Pooling pooling) {
        this.pooling = pooling;
    }

    /** The pooling, or null for the model's own way. */
    Pooling pooling() {
        return pooling;
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
