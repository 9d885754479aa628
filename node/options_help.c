#include <stdio.h>
#include <string.h>

#include "node/options.h"

void sgn_options_help(struct sgn_sink *text)
{
    sgn_text_put(
        text,
        "signet-node - one node of a Signet ring: stores, replicates and serves.\n"
        "\n"
        "  signet-node --config FILE\n"
        "  signet-node --config FILE --check-config\n"
        "\n"
        "Values come from flags, then the environment, then the file, then the default. In the "
        "file\n"
        "an option is a line `key = value` under its [section]; in the environment it is\n"
        "SIGNET_SECTION_KEY, as in SIGNET_NODE_ID; as a flag it is --section.key, and --key alone\n"
        "for the section node.\n"
        "\n"
        "  --config FILE   Configuration file; also SIGNET_CONFIG.\n"
        "  --check-config  Check everything that was given, say what it means, start nothing.\n"
        "  --help, --man, --version\n");
    const char *section = "";
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        const struct sgn_option *option = &sgn_options[i];
        if (strcmp(section, option->section) != 0) {
            section = option->section;
            sgn_text_put(text, "\n[%s]\n", section);
        }
        char prefix[64] = "";
        if (strcmp(section, "node") != 0) {
            (void)snprintf(prefix, sizeof(prefix), "%s.", section);
        }
        sgn_option_help(text, option, prefix);
    }
    sgn_text_put(text, "\n[member.ID], one for each member of the ring\n");
    for (uint32_t i = 0; i < SGN_MEMBER_OPTION_COUNT; i++) {
        sgn_option_help(text, &sgn_member_options[i], "member.ID.");
    }
    sgn_text_put(
        text,
        "\nSignals: TERM and INT finish what is under way and stop (again: stop at once); HUP "
        "reads\n"
        "log_level anew. Exit status: 0 stopped as asked, 1 could not start or go on, 2 wrong "
        "use.\n");
}

void sgn_options_man(struct sgn_sink *text)
{
    sgn_text_put(
        text,
        ".\\\" Made by signet-node --man from the table of options; change that, not this.\n"
        ".TH SIGNET\\-NODE 8 \"\" \"Signet\" \"Signet\"\n"
        ".SH NAME\n"
        "signet\\-node \\- one node of a Signet ring\n"
        ".SH SYNOPSIS\n"
        ".B signet\\-node \\-\\-config\n"
        ".I FILE\n"
        "[\\fB\\-\\-check\\-config\\fR] [\\fB\\-\\-\\fIsection\\fB.\\fIkey value\\fR ...]\n"
        ".SH DESCRIPTION\n"
        "Stores, replicates and serves the keys of a ring together with its peers. Any node takes\n"
        "any request. Values come from flags, then the environment\n"
        "(\\fBSIGNET_NODE_ID\\fR for the key \\fBid\\fR of the section \\fBnode\\fR), then the "
        "file, then\n"
        "the default. Flags of the section \\fBnode\\fR may leave the section out.\n"
        ".SH OPTIONS\n"
        ".TP\n.B \\-\\-config \\fIFILE\\fR\nConfiguration file; also \\fBSIGNET_CONFIG\\fR.\n"
        ".TP\n.B \\-\\-check\\-config\n"
        "Check everything that was given, say what it means, start nothing.\n"
        ".TP\n.B \\-\\-help\\fR, \\fB\\-\\-man\\fR, \\fB\\-\\-version\nPrint and end.\n"
        ".SH CONFIGURATION\n"
        "Lines \\fIkey\\fB = \\fIvalue\\fR under a \\fB[\\fIsection\\fB]\\fR; lines that begin "
        "with # or ; are\n"
        "comments.\n");
    const char *section = "";
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        if (strcmp(section, sgn_options[i].section) != 0) {
            section = sgn_options[i].section;
            sgn_text_put(text, ".SS [%s]\n", section);
        }
        sgn_option_man(text, &sgn_options[i]);
    }
    sgn_text_put(text,
                 ".SS [member.ID]\nOne for each member of the ring, the same on all of them.\n");
    for (uint32_t i = 0; i < SGN_MEMBER_OPTION_COUNT; i++) {
        sgn_option_man(text, &sgn_member_options[i]);
    }
    sgn_text_put(
        text,
        ".SH EXAMPLE\n.nf\n"
        "[node]\nid = 1\nadmin = 127.0.0.1:7401\ndata = /var/lib/signet/1\n\n"
        "[ring]\nname = demo\n\n"
        "[member.1]\naddress = 127.0.0.1:7301\n\n"
        "[member.2]\naddress = 127.0.0.1:7302\n\n"
        "[member.3]\naddress = 127.0.0.1:7303\n.fi\n"
        ".SH SIGNALS\n"
        "TERM and INT finish the requests under way, close the store and end with status 0; a "
        "second\n"
        "one ends at once with status 130. HUP reads the configuration anew and takes "
        "\\fBlog_level\\fR\n"
        "from it; other changes are named and need a restart. KILL is always allowed: nothing\n"
        "acknowledged is lost.\n"
        ".SH EXIT STATUS\n"
        "0 stopped as asked; 1 could not start or go on; 2 wrong use or configuration.\n"
        ".SH SEE ALSO\n.BR kv\\-cli (1)\n");
}
