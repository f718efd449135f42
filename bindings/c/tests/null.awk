# Writes a C program from the header. The program calls every function once for each of its
# pointers, with NULL there and valid arguments elsewhere, and once with NULL everywhere. The type
# and the name of a parameter decide its argument. An unknown parameter is an error, so no function
# can be added without a case in this test.
BEGIN {
    good["const dormouse_runtime *"] = "runtime"
    good["const dormouse_function *"] = "function"
    good["const dormouse_reply *"] = "reply"
    good["const dormouse_error *"] = "failure"
    good["const dormouse_cancel *"] = "cancel"
    good["const dormouse_store *"] = "store"
    good["dormouse_context *"] = "context"
    good["dormouse_guest *"] = "guest"
    good["dormouse_session_callback"] = "body"
    good["const dormouse_runtime_options *"] = "NULL"
    good["const dormouse_deploy_options *"] = "NULL"
    good["const dormouse_invoke_options *"] = "NULL"
    good["dormouse_runtime_options *"] = "&runtime_options"
    good["dormouse_deploy_options *"] = "&deploy_options"
    good["dormouse_invoke_options *"] = "&invoke_options"
    good["dormouse_runtime **"] = "&runtime_made"
    good["dormouse_function **"] = "&function_made"
    good["dormouse_reply **"] = "&reply_made"
    good["dormouse_cancel **"] = "&cancel_made"
    good["dormouse_store **"] = "&store_made"
    good["dormouse_error **"] = "&error_made"
    good["const dormouse_event *"] = "event"
    good["const dormouse_text *"] = "json"
    good["const dormouse_outcomes *"] = "outcomes"
    good["const dormouse_response *"] = "response"
    good["const dormouse_event_options *"] = "&event_options"
    good["const dormouse_trigger_options *"] = "&trigger_options"
    good["const dormouse_request_options *"] = "&request_options"
    good["dormouse_event_options *"] = "&event_options_made"
    good["dormouse_trigger_options *"] = "&trigger_options_made"
    good["dormouse_request_options *"] = "&request_options_made"
    good["dormouse_event **"] = "&event_made"
    good["dormouse_text **"] = "&text_made"
    good["dormouse_outcomes **"] = "&outcomes_made"
    good["dormouse_response **"] = "&response_made"
    good["const dormouse_names *"] = "names"
    good["const dormouse_pattern *"] = "pattern"
    good["const dormouse_workers *"] = "workers"
    good["const dormouse_dead_letters *"] = "letters"
    good["dormouse_names **"] = "&names_made"
    good["dormouse_pattern **"] = "&pattern_made"
    good["dormouse_workers **"] = "&workers_made"
    good["dormouse_dead_letters **"] = "&letters_made"
    good["dormouse_dead_letter *"] = "&letter"
    good["bool *"] = "&answer"
    good["dormouse_outcome *"] = "&outcome"
    good["dormouse_tick *"] = "&tick"
    good["dormouse_deliveries *"] = "&deliveries"
    good["dormouse_header *"] = "&header"
    good["dormouse_delivery *"] = "&delivery"
    good["bool"] = "false"
    good["int64_t"] = "0"
    good["dormouse_report *"] = "&report"
    good["dormouse_deploy_report *"] = "&deploy_report"
    good["dormouse_value *"] = "values"
    good["const dormouse_value *"] = "values"
    good["const char *"] = "\"echo\""
    good["const uint8_t *"] = "(const uint8_t *)\"echo\""
    good["char *"] = "text"
    good["uint8_t *"] = "bytes"
    good["void *"] = "NULL"
    good["size_t *"] = "&size"
    good["uint64_t *"] = "&number"
    good["size_t"] = "4"
    good["uint32_t"] = "0"
    good["uint64_t"] = "1"
    # By function and parameter, where the type does not tell.
    good["dormouse_runtime_options_init size"] = "sizeof runtime_options"
    good["dormouse_deploy_options_init size"] = "sizeof deploy_options"
    good["dormouse_invoke_options_init size"] = "sizeof invoke_options"
    good["dormouse_event_options_init size"] = "sizeof event_options"
    good["dormouse_trigger_options_init size"] = "sizeof trigger_options"
    good["dormouse_request_options_init size"] = "sizeof request_options"
    # No file: refused by the system.
    good["dormouse_store_open path"] = "\"/\""
    good["dormouse_store_open path_len"] = "1"
    good["dormouse_runtime_open path"] = "\"/\""
    good["dormouse_runtime_open path_len"] = "1"
    good["dormouse_pattern_new pattern"] = "\"{\\\"a\\\": [1]}\""
    good["dormouse_pattern_new pattern_len"] = "10"
    good["dormouse_pattern_matches json"] = "\"{\\\"a\\\": 1}\""
    good["dormouse_pattern_matches json_len"] = "8"
    good["dormouse_dead_letters_at index"] = "0"
    good["dormouse_runtime_functions functions_out"] = "functions"
    good["dormouse_runtime_deploy module"] = "echo_wasm"
    good["dormouse_runtime_deploy module_len"] = "sizeof echo_wasm"
    good["dormouse_function_version room"] = "sizeof text"
    good["dormouse_context_function room"] = "sizeof text"
    good["dormouse_function_invoke_into output_room"] = "sizeof bytes"
    good["dormouse_function_call export_name"] = "\"none\""
    good["dormouse_function_call args_len"] = "0"
    good["dormouse_guest_call export_name"] = "\"none\""
    good["dormouse_guest_call args_len"] = "0"
    # NULL is fine here, and says something.
    split("error_out options report_out user_data len_out idle_out all_out entries_out instances_out bytes_out dormouse_runtime_deploy:function_out " \
          "dormouse_runtime_trim:count_out dormouse_function_trim:count_out dormouse_guest_call:count_out dormouse_function_call:args " \
          "dormouse_guest_call:args dormouse_runtime_publish:count_out ran_out tick_out dormouse_runtime_redrive:delivery_out why_out", names, " ")
    for (i in names) optional[names[i]] = 1
    # Those above that are looked for by name alone, but are needed here.
    needed["dormouse_runtime_options_init:options"] = needed["dormouse_deploy_options_init:options"] = 1
    needed["dormouse_invoke_options_init:options"] = needed["dormouse_function_deploy_report:report_out"] = 1
    needed["dormouse_event_options_init:options"] = needed["dormouse_trigger_options_init:options"] = 1
    needed["dormouse_request_options_init:options"] = needed["dormouse_runtime_event:options"] = 1
    needed["dormouse_context_block_len:len_out"] = needed["dormouse_store_len:len_out"] = needed["dormouse_store_get:len_out"] = 1
    needed["dormouse_runtime_bind:options"] = needed["dormouse_runtime_request:options"] = 1
    print "// Made from dormouse.h by null.awk."
    print "#include \"null.h\"\n"
}
/^ *\/\// { next }
/^static inline/ { skip = 1 }
/^}/ { skip = 0 }
# A prototype begins at the left margin and ends with a semicolon, some lines later.
!skip && /^[a-z].*[ *]dormouse_[a-z0-9_]*\(/ && !/^typedef/ { text = "" ; inside = 1 }
inside { text = text $0 " " }
inside && /;/ { inside = 0; prototype(text) }

function prototype(text,    name, returns, list, i, n, word, type, param, guarded, calls, args, all, at, must) {
    name = text; sub(/\(.*/, "", name)
    returns = name
    sub(/^.*[ *]/, "", name); sub(/[ ]*dormouse_[a-z0-9_]*$/, "", returns)
    list = text; sub(/^[^(]*\(/, "", list); sub(/\);.*/, "", list); gsub(/  +/, " ", list)
    n = split(list, params, /, */)
    if (list == "void") n = 0
    count++
    context = name ~ /^dormouse_context_/ ? "context" : name ~ /^dormouse_guest_/ ? "guest" : "plain"
    for (i = 1; i <= n; i++) {
        word = params[i]; type = word
        sub(/^.*[ *]/, "", word); sub(/[a-z0-9_]+$/, "", type); gsub(/ +$/, "", type); sub(/^ +/, "", type)
        param[i] = word
        pointer[i] = type ~ /\*$/ || type ~ /_callback$/
        args[i] = (name " " word) in good ? good[name " " word] : good[type]
        # Freed by the test itself; only NULL here.
        if (name ~ /_free$/) args[i] = "NULL"
        if (args[i] == "") { print "null.awk knows no argument for " name "(" type " " word ")" >"/dev/stderr"; exit 1 }
    }
    for (at = 0; at <= n; at++) {
        if (at > 0 && !pointer[at]) continue
        calls = ""; must = 0
        for (i = 1; i <= n; i++) {
            none = pointer[i] && (at == 0 || at == i)
            calls = calls (i > 1 ? ", " : "") (none ? "NULL" : args[i])
            key = name ":" param[i]
            if (none && (key in needed || !(param[i] in optional || key in optional))) must = 1
        }
        where = at == 0 ? "all" : param[at]
        if (returns == "dormouse_status" && name != "dormouse_error_status")
            line = "    " (must ? "REFUSED" : "ALLOWED") "(" name ", \"" where "\", " name "(" calls "));"
        else line = "    " (returns == "void" ? "" : "(void)") name "(" calls ");"
        body[context] = body[context] line "\n"
    }
}
END {
    if (count < 100) { print "null.awk found only " count " functions" >"/dev/stderr"; exit 1 }
    print "static void in_context(dormouse_context *context) {\n    (void)context;\n" body["context"] "}\n"
    print "static void in_session(dormouse_guest *guest) {\n    (void)guest;\n" body["guest"] "}\n"
    print "static void everywhere(void) {\n" body["plain"] "}\n"
    print "int main(void) {\n    return null_test(everywhere, in_context, in_session);\n}"
}
