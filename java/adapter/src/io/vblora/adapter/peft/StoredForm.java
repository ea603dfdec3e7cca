package io.vblora.adapter.peft;

import java.util.List;
import java.util.Optional;

/**
 * A way in which a method's updates are stored.
 *
 * @param key what programs call it: with_all_logits
 * @param name for people: "with all logits"
 * @param moduleKeys suffixes of the tensors that each adapted module has, after its path
 * @param sharedNames names of the tensors that all modules share
 */
public record StoredForm(String key, String name, List<String> moduleKeys, List<String> sharedNames) {
    public StoredForm {
        moduleKeys = List.copyOf(moduleKeys);
        sharedNames = List.copyOf(sharedNames);
    }

    /** The path of the module that a tensor of this name belongs to, if it belongs to one. */
    public Optional<String> path(String name) {
        return moduleKeys.stream().filter(key -> name.startsWith(PeftKeys.MODULE_PREFIX) && name.endsWith(key)
                && name.length() > PeftKeys.MODULE_PREFIX.length() + key.length())
                .map(key -> name.substring(PeftKeys.MODULE_PREFIX.length(), name.length() - key.length())).findFirst();
    }
}
