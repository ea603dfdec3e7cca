package io.vblora.adapter;

import io.vblora.JsonFields;
import io.vblora.PrintableText;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleBiFunction;
import java.util.stream.Stream;

/**
 * PEFT's {@code rank_pattern} or {@code alpha_pattern}, which gives some modules numbers of their own: those whose path
 * is, or ends with "." and, a text that a regular expression matches. The first expression that matches decides.
 * Immutable.
 */
public final class ModuleNumbers {
    private final String name;
    private final Map<ModulePattern, Double> values;

    private ModuleNumbers(String name, Map<ModulePattern, Double> values) {
        this.name = name;
        this.values = values;
    }

    /**
     * Reads an object that has numbers under regular expressions. An absent one, or null, names no module.
     *
     * @param number reads and checks the number under a key
     */
    public static ModuleNumbers of(JsonFields fields, String key, ToDoubleBiFunction<JsonFields, String> number) {
        Map<ModulePattern, Double> values = new LinkedHashMap<>();
        if (fields.has(key)) {
            JsonFields patterns = fields.object(key);
            patterns.object().fieldNames().forEachRemaining(regex -> values.put(
                    ModulePattern.compile(fields.source(), key, regex, "(.*\\.)?(", ")"),
                    number.applyAsDouble(patterns, regex)));
        }
        return new ModuleNumbers(fields.source() + ": " + key, values);
    }

    /** A sentence about the expressions that match none of these paths, if there are any. */
    public Stream<String> notes(List<String> paths) {
        List<String> idle = values.keySet().stream().filter(pattern -> paths.stream().noneMatch(pattern::matchesAll))
                .map(ModulePattern::regex).toList();
        return idle.isEmpty() ? Stream.empty() : Stream.of(PrintableText.of(name + ": without effect, as no adapted "
                + "module matches " + PrintableText.list(idle)));
    }

    /** The number of a module, or the given one if no expression matches its path. */
    public double value(String path, double otherwise) {
        for (Map.Entry<ModulePattern, Double> entry : values.entrySet()) {
            if (entry.getKey().matchesAll(path)) {
                return entry.getValue();
            }
        }
        return otherwise;
    }
}
