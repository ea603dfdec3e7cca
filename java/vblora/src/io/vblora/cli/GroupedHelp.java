package io.vblora.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.UsageMessageSpec;

/** Sets headings above groups of options in a command's help. */
final class GroupedHelp {
    private GroupedHelp() {}

    /** @param headings keys are the mixins that hold the options, in the order in which they are shown */
    static void of(CommandLine commandLine, LinkedHashMap<String, String> headings) {
        commandLine.getHelpSectionMap().put(UsageMessageSpec.SECTION_KEY_OPTION_LIST, help -> {
            List<OptionSpec> options = new ArrayList<>(help.commandSpec().options());
            StringBuilder grouped = new StringBuilder();
            for (Map.Entry<String, String> heading : headings.entrySet()) {
                List<OptionSpec> group = help.commandSpec().mixins().get(heading.getKey()).options();
                Set<String> names = group.stream().map(OptionSpec::longestName).collect(Collectors.toSet());
                options.removeIf(option -> names.contains(option.longestName()));
                grouped.append(String.format("%n%s:%n", heading.getValue())).append(list(help, group));
            }
            return list(help, options) + grouped;
        });
    }

    private static String list(Help help, List<OptionSpec> options) {
        Help.Layout layout = help.createDefaultLayout();
        layout.addAllOptions(options, help.parameterLabelRenderer());
        return layout.toString();
    }
}
