package io.vblora.cli;

import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.AdapterMethods;
import io.vblora.adapter.MethodOption;
import io.vblora.adapter.methods.lora.LoraMethod;
import io.vblora.parameters.ParameterGroup;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A value of --method: a method of adaptation, or the head of a sequence task alone, which PEFT stores as a LoRA
 * adapter without adapted modules.
 */
record MethodChoice(String name, AdapterMethod method, boolean isHeadAlone) {
    private static final MethodChoice HEAD = new MethodChoice("head", LoraMethod.INSTANCE, true);

    /** All choices; the first is the default. */
    static List<MethodChoice> all() {
        List<MethodChoice> all = new ArrayList<>();
        AdapterMethods.all().forEach(method -> all.add(new MethodChoice(method.optionName(), method, false)));
        all.add(HEAD);
        return all;
    }

    /** The choice that an adapter was made with. */
    static MethodChoice of(AdapterConfig config) {
        return config.modules().adaptsNothing() ? HEAD
                : new MethodChoice(config.method().optionName(), config.method(), false);
    }

    /** Settings of the method. */
    List<MethodOption> options() {
        return isHeadAlone ? List.of() : method.options();
    }

    /** Whether any of the method's own parameters learns at a rate of this name. */
    boolean learnsAt(String learningRate) {
        return !isHeadAlone
                && method.groups().stream().map(ParameterGroup::learningRate).anyMatch(learningRate::equals);
    }

    /** Whether the method has a compact form. */
    boolean hasCompactForm() {
        return !isHeadAlone && method.forms().size() > 1;
    }

    /** Options of other methods, and those of updates if there are none. --learning-rate only causes a message. */
    List<String> meaningless() {
        List<String> meaningless = new ArrayList<>();
        Set<String> own = new HashSet<>(AdapterOptions.UPDATES_ONLY);
        options().stream().map(MethodOption::name).forEach(own::add);
        for (AdapterMethod other : AdapterMethods.all()) {
            if (isHeadAlone || !other.peftType().equals(method.peftType())) {
                other.options().stream().map(MethodOption::name).filter(name -> !own.contains(name))
                        .forEach(meaningless::add);
                other.groups().stream().map(ParameterGroup::learningRate)
                        .filter(rate -> !rate.equals(ParameterGroup.MATRICES.learningRate()) && !learnsAt(rate))
                        .forEach(rate -> meaningless.add("--" + rate.replace('_', '-')));
            }
        }
        if (isHeadAlone) {
            meaningless.addAll(AdapterOptions.UPDATES_ONLY);
        }
        return meaningless;
    }

    @Override
    public String toString() {
        return name;
    }

    /** Names of all choices, for help. */
    static final class Names implements Iterable<String> {
        @Override
        public Iterator<String> iterator() {
            return all().stream().map(MethodChoice::name).iterator();
        }
    }

    /** Reads a name. */
    static final class Converter implements ITypeConverter<MethodChoice> {
        @Override
        public MethodChoice convert(String text) {
            return all().stream().filter(choice -> choice.name.equals(text)).findFirst().orElseThrow(
                    () -> new TypeConversionException("found " + text + "; expected " + all().stream()
                            .map(MethodChoice::name).collect(Collectors.joining(", "))));
        }
    }
}
