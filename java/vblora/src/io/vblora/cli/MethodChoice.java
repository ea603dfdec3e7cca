package io.vblora.cli;

import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.AdapterMethods;
import io.vblora.adapter.MethodOption;
import io.vblora.adapter.MethodSwitch;
import io.vblora.parameters.ParameterGroup;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A value of --method: a method of adaptation, or the head of a sequence task alone.
 *
 * @param method that of the adapter, also if it has no updates
 */
record MethodChoice(String name, AdapterMethod method, boolean isHeadAlone) {
    /** All choices; the first is the default. */
    static List<MethodChoice> all() {
        List<AdapterMethod> methods = AdapterMethods.all();
        return Stream.concat(methods.stream().map(method -> of(method, false)), methods.stream()
                .filter(AdapterMethod::isOfModulesToSaveAlone).limit(1).map(method -> of(method, true))).toList();
    }

    /** The choice that an adapter was made with. */
    static MethodChoice of(AdapterConfig config) {
        return of(config.method(), config.modules().adaptsNothing());
    }

    private static MethodChoice of(AdapterMethod method, boolean isHeadAlone) {
        return new MethodChoice(isHeadAlone ? "head" : method.optionName(), method, isHeadAlone);
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

    /** How its compact form is asked for, if it has one. */
    Optional<MethodSwitch> compactForm() {
        return isHeadAlone ? Optional.empty() : method.compactForm();
    }

    /** Options of other methods, and those of updates if there are none. --learning-rate only causes a message. */
    List<String> meaningless() {
        Set<String> own = isHeadAlone ? Set.of() : optionsOf(method).collect(Collectors.toSet());
        return Stream.concat(isHeadAlone ? AdapterOptions.UPDATES_ONLY.stream() : Stream.of(),
                AdapterMethods.all().stream().flatMap(MethodChoice::optionsOf).filter(name -> !own.contains(name)))
                .distinct().toList();
    }

    /** The options that a method has, but not all methods. */
    private static Stream<String> optionsOf(AdapterMethod method) {
        Stream<String> rates = method.groups().stream().map(ParameterGroup::learningRate)
                .filter(rate -> !rate.equals(ParameterGroup.MATRICES.learningRate())).map(MethodOption::name);
        return Stream.of(method.options().stream().map(MethodOption::name),
                method.compactForm().stream().map(MethodSwitch::name), rates).flatMap(names -> names);
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
