package io.vblora.adapter;

import java.util.Locale;

/**
 * A setting of a method that the command line offers. Methods that offer the same key share the option: their values
 * must be of the same kind, and each has its own default and adds its description.
 *
 * @param key of the configuration, PEFT's, or the name of a learning rate
 * @param label stands for its value in help: N
 * @param defaultValue an Integer or a Double, which determines the option's type
 * @param isAuto whether the setting is left open by default, or by "auto", so that {@link AdapterConfig#fitting} sets
 * it
 * @param description a sentence for help, which says it after the method's title; "${DEFAULT-VALUE}" stands for the
 * default
 */
public record MethodOption(String key, String label, Number defaultValue, boolean isAuto, String description) {
    /** A setting with a default. */
    public static MethodOption of(String key, String label, Number defaultValue, String description) {
        return new MethodOption(key, label, defaultValue, false, description);
    }

    /** The option's name: --num-vectors. */
    public String name() {
        return name(key);
    }

    /** What the command line calls a key of a configuration, or the name of a learning rate. */
    public static String name(String key) {
        return "--" + key.toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
