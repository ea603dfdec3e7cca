package io.vblora.cli;

import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.AdapterMethods;
import java.util.Collections;
import java.util.Enumeration;
import java.util.List;
import java.util.Map;
import java.util.ResourceBundle;
import java.util.function.Supplier;
import java.util.stream.Collectors;

/** What help says about all methods of adaptation together, for <code>${bundle:KEY}</code> in annotations. */
final class MethodWords extends ResourceBundle {
    private static final Map<String, Supplier<String>> WORDS =
            Map.of("methods.titles", MethodWords::titles, "methods.ranks", MethodWords::ranks);

    /** VB-LoRA or LoRA. */
    private static String titles() {
        List<String> titles = AdapterMethods.all().stream().map(AdapterMethod::title).toList();
        String last = titles.get(titles.size() - 1);
        return titles.size() == 1 ? last
                : String.join(", ", titles.subList(0, titles.size() - 1)) + " or " + last;
    }

    /** 4 for vblora, 8 for lora. */
    private static String ranks() {
        return AdapterMethods.all().stream()
                .map(method -> method.defaultRank() + " for " + method.optionName()).collect(Collectors.joining(", "));
    }

    @Override
    protected Object handleGetObject(String key) {
        Supplier<String> words = WORDS.get(key);
        return words == null ? null : words.get();
    }

    @Override
    public Enumeration<String> getKeys() {
        return Collections.enumeration(WORDS.keySet());
    }
}
