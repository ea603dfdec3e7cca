package io.vblora.adapter;

import java.util.Locale;

/**
 * A setting of a method that the command line offers. Methods that offer the same key share the option: their values
 * are of one kind, and each has its own default and adds its description.
 *
 * @param key of the configuration, PEFT's, or the name of a learning rate
 * @param label what stands for its value in help: N
 * @param defaultValue an Integer or a Double, which is the option's type
 * @param isAuto whether it is left open by default, or with "auto", for {@link AdapterConfig#fitting} to set
 * @param description for help, a sentence in which "${DEFAULT-VALUE}" is the default
 */
public record MethodOption(String key, String label, Number defaultValue, boolean isAuto, String description) {
    /** A setting with a default. */
    public static MethodOption of(String key, String label, Number defaultValue, String description) {
        return new MethodOption(key, label, defaultValue, false, description);
    }

    /** The option's name: --num-vectors. */
    public String name() {
        return "--" + key.toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
