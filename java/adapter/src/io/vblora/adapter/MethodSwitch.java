package io.vblora.adapter;

/**
 * Something about a method that the command line can turn on. Methods that offer the same key share the option.
 *
 * @param key of the configuration, PEFT's: save_only_topk_weights
 * @param description a sentence for help, which says it after the method's title
 */
public record MethodSwitch(String key, String description) {
    /** The option's name: --save-only-topk-weights. */
    public String name() {
        return MethodOption.name(key);
    }
}
