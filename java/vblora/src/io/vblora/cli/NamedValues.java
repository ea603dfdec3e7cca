package io.vblora.cli;

import java.util.Arrays;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads values of an enum by the names that {@code toString} gives them and help shows. */
record NamedValues<E extends Enum<E>>(Class<E> type) implements ITypeConverter<E> {

    static <E extends Enum<E>> void register(CommandLine commandLine, Class<E> type) {
        commandLine.registerConverter(type, new NamedValues<>(type));
    }

    @Override
    public E convert(String name) {
        return Arrays.stream(type.getEnumConstants()).filter(value -> value.toString().equals(name)).findFirst()
                .orElseThrow(() -> new TypeConversionException("found " + name + "; expected "
                        + Arrays.stream(type.getEnumConstants()).map(Object::toString)
                                .collect(Collectors.joining(", "))));
    }
}
