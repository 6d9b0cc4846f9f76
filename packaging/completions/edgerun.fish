# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_edgerun_global_optspecs
    string join \n log-level= h/help V/version
end

function __fish_edgerun_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_edgerun_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_edgerun_using_subcommand
    set -l cmd (__fish_edgerun_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c edgerun -n "__fish_edgerun_needs_command" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_needs_command" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_needs_command" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "run" -d 'Runs the daemon: sensors, pipelines, network'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "check" -d 'Validates the configuration, then looks whether everything it names is there and works'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "inspect" -d 'Shows a model\'s tensors, operators and memory, and which engine runs it'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "infer" -d 'Runs one model on arrays, exactly as the daemon would'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "bench" -d 'Measures how long one model takes, and how much memory'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "bundle" -d 'Makes, shows and checks bundles: one file with a model and all that a board needs to run it'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "repo" -d 'Publishes bundles as a signed repository that boards update from'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "ota" -d 'Shows and steers updates of models on this board'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "watch" -d 'Shows boards live: how they are, what they run and find'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "cmd" -d 'Tells a board, or each board of a group, to do something, and shows its answer'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "sensors" -d 'Shows what sensors give, and records it'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "outputs" -d 'Shows the lines and PWM channels that pipelines drive, and makes them safe'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "provision" -d 'Makes a board ready: id, key, certificate request or certificate, configuration'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "self-test" -d 'Tests a bundle in a confined process, for the daemon'
complete -c edgerun -n "__fish_edgerun_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand run" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand run" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand run" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand run" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand run" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand check" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand check" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand check" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand check" -l json -d 'Prints one JSON object instead of lines'
complete -c edgerun -n "__fish_edgerun_using_subcommand check" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand check" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand inspect" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand inspect" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand inspect" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -l input -d 'Arrays for the model\'s inputs: FILE.npz by name, FILE.npy by position, or NAME=FILE, 0=FILE' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -l output -d 'Where the outputs go, as .npz or .npy; without it a summary is printed' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -l engine -d 'Which engine runs it: auto, native or tract' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -l threads -d 'Threads that one run may use, 1 to 64, no more than there are cores; tract uses one' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -l float -d 'Real values in and out, through the model\'s quantization, instead of raw integers'
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -l json -d 'Prints one JSON object, with the outputs\' values unless --output takes them'
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand infer" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l input -d 'Arrays to run on, as for `infer` (their first row); without it seeded noise' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l runs -d 'Runs to measure; without it 200, or as many as 5 s allow but 10 at least' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l warmup -d 'Runs before the measured ones' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l engine -d 'Which engine runs it: auto, native or tract' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l threads -d 'Threads that one run may use, 1 to 64, no more than there are cores; tract uses one' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l profile -d 'Shows where the time goes: each operator\'s share, speed and bytes'
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l on-request -d 'Measures when asked: answers each line of standard input, a number of runs, with a line of JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand bench" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -f -a "init" -d 'Makes a folder for a model, with a commented manifest out of the model\'s own signature'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -f -a "golden" -d 'Writes golden.npz into a bundle folder: sensor rows and what the model makes of them here'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -f -a "pack" -d 'Verifies a bundle folder and packs it into one file, NAME-VERSION.edge'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -f -a "show" -d 'Shows what a bundle says of itself'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -f -a "verify" -d 'Loads a bundle\'s model, compares manifest and model, and runs the golden windows'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and not __fish_seen_subcommand_from init golden pack show verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from init" -l name -d 'The bundle\'s name [default: the model\'s file name]' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from init" -l dir -d 'The folder that is made [default: the name, here]' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from init" -l kind -d 'What the model answers; guessed from its outputs where it is not said' -r -f -a "classification\t'One label of several'
regression\t'A number'
anomaly\t'A distance from normal, as of an autoencoder'"
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from init" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from init" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from golden" -l input -d 'What the sensor gives: .npy or .npz with `x`, float32 [windows, frames, channels] in the recipe\'s units, or uint8 [windows, height, width, 3] of pictures' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from golden" -l windows -d 'How many windows are kept, from the first on' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from golden" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from golden" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from golden" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from pack" -s o -l output -d 'Where the file goes [default: NAME-VERSION.edge here]' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from pack" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from pack" -l no-golden -d 'Packs a bundle without golden.npz: boards can then not tell a wrong answer'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from pack" -l force -d 'Replaces a file of the same name that holds something else'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from pack" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from pack" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from pack" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from show" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from show" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from verify" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from verify" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "init" -d 'Makes a folder for a model, with a commented manifest out of the model\'s own signature'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "golden" -d 'Writes golden.npz into a bundle folder: sensor rows and what the model makes of them here'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "pack" -d 'Verifies a bundle folder and packs it into one file, NAME-VERSION.edge'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "show" -d 'Shows what a bundle says of itself'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Loads a bundle\'s model, compares manifest and model, and runs the golden windows'
complete -c edgerun -n "__fish_edgerun_using_subcommand bundle; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "init" -d 'Makes a repository and its keys in a new folder'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "add" -d 'Takes bundles in; boards see them after `publish`'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "publish" -d 'Signs what was added or retired, and a fresh timestamp: run it every few days, too'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "retire" -d 'Takes a version back; boards see that after `publish`'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "list" -d 'Shows what boards can have, and what the next `publish` changes'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "expire" -d 'Shows until when each signature lasts; sets it with --role and --days'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "rotate" -d 'Gives a role new keys'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "serve" -d 'Serves a repository over a broker, to boards that reach nothing else'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and not __fish_seen_subcommand_from init add publish retire list expire rotate serve help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from init" -l root-keys -d 'How many root keys are made' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from init" -l root-threshold -d 'How many of them must sign a new root' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from init" -l passphrase -d 'Seals keys with a passphrase: those of root and targets (offline), or all' -r -f -a "offline\t''
all\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from init" -l passphrase-fd -d 'Reads the passphrase from this file descriptor instead of EDGERUN_PASSPHRASE or the terminal' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from init" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from init" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from init" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from add" -l keys -d 'Another folder with key files, as on a stick; may be given more than once' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from add" -l passphrase-fd -d 'Reads the passphrase from this file descriptor instead of EDGERUN_PASSPHRASE or the terminal' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from add" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from add" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from publish" -l keys -d 'Another folder with key files, as on a stick; may be given more than once' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from publish" -l passphrase-fd -d 'Reads the passphrase from this file descriptor instead of EDGERUN_PASSPHRASE or the terminal' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from publish" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from publish" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from publish" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from publish" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from retire" -l keys -d 'Another folder with key files, as on a stick; may be given more than once' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from retire" -l passphrase-fd -d 'Reads the passphrase from this file descriptor instead of EDGERUN_PASSPHRASE or the terminal' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from retire" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from retire" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from retire" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from retire" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from list" -l keys -d 'Another folder with key files, as on a stick; may be given more than once' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from list" -l passphrase-fd -d 'Reads the passphrase from this file descriptor instead of EDGERUN_PASSPHRASE or the terminal' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from list" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from list" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from expire" -l keys -d 'Another folder with key files, as on a stick; may be given more than once' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from expire" -l passphrase-fd -d 'Reads the passphrase from this file descriptor instead of EDGERUN_PASSPHRASE or the terminal' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from expire" -l role -d 'The role whose signature shall last --days: root, targets, snapshot or timestamp' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from expire" -l days -d 'From now on; root is signed at once, the others by the next `publish`' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from expire" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from expire" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from expire" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from expire" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l keys -d 'Another folder with key files, as on a stick; may be given more than once' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l passphrase-fd -d 'Reads the passphrase from this file descriptor instead of EDGERUN_PASSPHRASE or the terminal' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l count -d 'How many keys are made [default: 3 for root, otherwise 1]' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l threshold -d 'How many of them must sign [default: 2 for root, otherwise 1]' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l signer -d 'Instead of a key file: a shell command that reads bytes and prints their signature' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l public-key -d 'The signer\'s public key: Ed25519 or P-256, PEM, DER or hex' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -l passphrase -d 'Seals the new keys with a passphrase'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from rotate" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l mqtt -d 'The broker, as in mqtts://broker.example:8883' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l prefix -d 'What stands before `edgerun/` in topics, as in the boards\' [mqtt] prefix' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l protocol -d '5: MQTT 5; 4: MQTT 3.1.1' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l username -d 'User name at the broker' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l password-file -d 'File with the password for it' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l ca -d 'PEM file of the authorities to trust, instead of the system\'s' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l client-cert -d 'PEM file of the certificate to log in with' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l client-key -d 'PEM file of its private key' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from serve" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "init" -d 'Makes a repository and its keys in a new folder'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "add" -d 'Takes bundles in; boards see them after `publish`'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "publish" -d 'Signs what was added or retired, and a fresh timestamp: run it every few days, too'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "retire" -d 'Takes a version back; boards see that after `publish`'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "list" -d 'Shows what boards can have, and what the next `publish` changes'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "expire" -d 'Shows until when each signature lasts; sets it with --role and --days'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Gives a role new keys'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "serve" -d 'Serves a repository over a broker, to boards that reach nothing else'
complete -c edgerun -n "__fish_edgerun_using_subcommand repo; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -f -a "status" -d 'Shows which version of each model serves, and how updates stand'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -f -a "apply" -d 'Takes a bundle file of your own, or a signed version from a medium: tested and tried like any other'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -f -a "rollback" -d 'Goes back to the version before, or to another one that is kept; needs no network'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -f -a "pin" -d 'Keeps a version on the board whatever comes after it, at most 4 of a model'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -f -a "unpin" -d 'Keeps a version no longer than any other'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -f -a "history" -d 'Shows how past updates ended'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -f -a "check" -d 'Asks the repository now, not only every hour'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and not __fish_seen_subcommand_from status apply rollback pin unpin history check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from status" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from status" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from status" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from status" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -l from -d 'A signed repository on a medium instead, its folder as a path or as file:///…; checked like the configured one' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -l model -d 'The model to take from there; may be left out where there is only one' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -l version -d 'The version to take; the newest that this board can run where it is left out' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -l allow-downgrade -d 'Takes a version that is older than the one that serves, too'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from rollback" -l to -d 'Goes back to this version: the one before, or a pinned one' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from rollback" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from rollback" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from rollback" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from rollback" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from rollback" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from pin" -l version -d 'The version; the one that serves where it is left out' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from pin" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from pin" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from pin" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from pin" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from pin" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from unpin" -l version -d 'The version; the one that serves where it is left out' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from unpin" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from unpin" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from unpin" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from unpin" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from unpin" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from history" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from history" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from history" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from history" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from history" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from check" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from check" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from check" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from check" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from help" -f -a "status" -d 'Shows which version of each model serves, and how updates stand'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from help" -f -a "apply" -d 'Takes a bundle file of your own, or a signed version from a medium: tested and tried like any other'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Goes back to the version before, or to another one that is kept; needs no network'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from help" -f -a "pin" -d 'Keeps a version on the board whatever comes after it, at most 4 of a model'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from help" -f -a "unpin" -d 'Keeps a version no longer than any other'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from help" -f -a "history" -d 'Shows how past updates ended'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from help" -f -a "check" -d 'Asks the repository now, not only every hour'
complete -c edgerun -n "__fish_edgerun_using_subcommand ota; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l device -d 'One board only; all of them without it' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l mqtt -d 'The broker, as in mqtts://broker.example:8883; without it that of the board\'s own configuration' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l prefix -d 'What stands before `edgerun/` in topics, as in the boards\' [mqtt] prefix' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l protocol -d '5: MQTT 5; 4: MQTT 3.1.1' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l username -d 'User name at the broker' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l password-file -d 'File with the password for it' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l ca -d 'PEM file of the authorities to trust, instead of the system\'s' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l client-cert -d 'PEM file of the certificate to log in with' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l client-key -d 'PEM file of its private key' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -s c -l config -d 'The board\'s own configuration, where it lies elsewhere' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -l json -d 'Prints each message as a line of JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand watch" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l mqtt -d 'The broker, as in mqtts://broker.example:8883; without it that of the board\'s own configuration' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l prefix -d 'What stands before `edgerun/` in topics, as in the boards\' [mqtt] prefix' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l protocol -d '5: MQTT 5; 4: MQTT 3.1.1' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l username -d 'User name at the broker' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l password-file -d 'File with the password for it' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l ca -d 'PEM file of the authorities to trust, instead of the system\'s' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l client-cert -d 'PEM file of the certificate to log in with' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l client-key -d 'PEM file of its private key' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -s c -l config -d 'The board\'s own configuration, where it lies elsewhere' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l timeout -d 'How long to wait for the answer, in seconds; afterwards the command counts no more' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l jitter -d 'Spreads a group\'s command: each board waits for a random part of this' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -l json -d 'Prints the answer as a line of JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand cmd" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -f -a "list" -d 'Shows the configured sensors with their channels, or with --drivers what there can be; opens nothing'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -f -a "read" -d 'Shows values live, with the rate that is reached and its jitter'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -f -a "record" -d 'Records a sensor into a .csv or .npy file, a camera into a folder: what the drivers `replay` and `pictures`, and training, read'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and not __fish_seen_subcommand_from list read record help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from list" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from list" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from list" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from list" -l drivers -d 'Shows the drivers of this build instead'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from list" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from read" -l for -d 'Ends after this many seconds' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from read" -l frames -d 'Ends after this many frames of each' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from read" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from read" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from read" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from read" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from read" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from read" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -s o -l output -d 'The file, .csv or .npy; of a camera the folder' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -l for -d 'Ends after this many seconds; Ctrl-C ends it, too' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -l frames -d 'Ends after this many frames' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -l force -d 'Replaces what is there'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -l json -d 'Prints JSON'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from record" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from help" -f -a "list" -d 'Shows the configured sensors with their channels, or with --drivers what there can be; opens nothing'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from help" -f -a "read" -d 'Shows values live, with the rate that is reached and its jitter'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from help" -f -a "record" -d 'Records a sensor into a .csv or .npy file, a camera into a folder: what the drivers `replay` and `pictures`, and training, read'
complete -c edgerun -n "__fish_edgerun_using_subcommand sensors; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand outputs" -s c -l config -d 'The configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand outputs" -l state -d 'Where state is kept; wins over the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand outputs" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand outputs" -l safe -d 'Brings each into its safe state, as after a crash; not while the daemon runs, which holds them'
complete -c edgerun -n "__fish_edgerun_using_subcommand outputs" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand outputs" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l id -d 'The board\'s name on the broker; made from host name and machine-id where it is left out' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l broker -d 'The broker, as in mqtts://broker.example:8883' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l board -d 'The board; found by its device tree where it is left out' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l etc -d 'The folder of the configuration' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l enrol -d 'Asks this step-ca for a certificate' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l token-file -d 'The file with its one-time token; - reads standard input' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l fingerprint -d 'SHA-256 of its root certificate, which is then believed instead of the system\'s' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l from -d 'Does what a provisioning file says, or the edgerun-provision.toml in a folder' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l wait -d 'How long to go on asking for a certificate while network, clock or server are not ready, in seconds' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l root -d 'The board\'s root folder' -r -F
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l force -d 'Replaces what is there, the key included'
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l dry-run -d 'Says what would be done, and does nothing'
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l from-boot -d 'Does what the file on the boot partition says, if there is one'
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -l json -d 'Prints one JSON object'
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand provision" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand self-test" -l memory -d 'Bytes of memory that it may take' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand self-test" -l processor -d 'Seconds of processor time that it may take' -r
complete -c edgerun -n "__fish_edgerun_using_subcommand self-test" -l log-level -d 'What is logged to standard error; wins over EDGERUN_LOG' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c edgerun -n "__fish_edgerun_using_subcommand self-test" -s h -l help -d 'Print help'
complete -c edgerun -n "__fish_edgerun_using_subcommand self-test" -s V -l version -d 'Print version'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "run" -d 'Runs the daemon: sensors, pipelines, network'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "check" -d 'Validates the configuration, then looks whether everything it names is there and works'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "inspect" -d 'Shows a model\'s tensors, operators and memory, and which engine runs it'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "infer" -d 'Runs one model on arrays, exactly as the daemon would'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "bench" -d 'Measures how long one model takes, and how much memory'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "bundle" -d 'Makes, shows and checks bundles: one file with a model and all that a board needs to run it'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "repo" -d 'Publishes bundles as a signed repository that boards update from'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "ota" -d 'Shows and steers updates of models on this board'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "watch" -d 'Shows boards live: how they are, what they run and find'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "cmd" -d 'Tells a board, or each board of a group, to do something, and shows its answer'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "sensors" -d 'Shows what sensors give, and records it'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "outputs" -d 'Shows the lines and PWM channels that pipelines drive, and makes them safe'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "provision" -d 'Makes a board ready: id, key, certificate request or certificate, configuration'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "self-test" -d 'Tests a bundle in a confined process, for the daemon'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and not __fish_seen_subcommand_from run check inspect infer bench bundle repo ota watch cmd sensors outputs provision self-test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from bundle" -f -a "init" -d 'Makes a folder for a model, with a commented manifest out of the model\'s own signature'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from bundle" -f -a "golden" -d 'Writes golden.npz into a bundle folder: sensor rows and what the model makes of them here'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from bundle" -f -a "pack" -d 'Verifies a bundle folder and packs it into one file, NAME-VERSION.edge'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from bundle" -f -a "show" -d 'Shows what a bundle says of itself'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from bundle" -f -a "verify" -d 'Loads a bundle\'s model, compares manifest and model, and runs the golden windows'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from repo" -f -a "init" -d 'Makes a repository and its keys in a new folder'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from repo" -f -a "add" -d 'Takes bundles in; boards see them after `publish`'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from repo" -f -a "publish" -d 'Signs what was added or retired, and a fresh timestamp: run it every few days, too'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from repo" -f -a "retire" -d 'Takes a version back; boards see that after `publish`'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from repo" -f -a "list" -d 'Shows what boards can have, and what the next `publish` changes'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from repo" -f -a "expire" -d 'Shows until when each signature lasts; sets it with --role and --days'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from repo" -f -a "rotate" -d 'Gives a role new keys'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from repo" -f -a "serve" -d 'Serves a repository over a broker, to boards that reach nothing else'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from ota" -f -a "status" -d 'Shows which version of each model serves, and how updates stand'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from ota" -f -a "apply" -d 'Takes a bundle file of your own, or a signed version from a medium: tested and tried like any other'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from ota" -f -a "rollback" -d 'Goes back to the version before, or to another one that is kept; needs no network'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from ota" -f -a "pin" -d 'Keeps a version on the board whatever comes after it, at most 4 of a model'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from ota" -f -a "unpin" -d 'Keeps a version no longer than any other'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from ota" -f -a "history" -d 'Shows how past updates ended'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from ota" -f -a "check" -d 'Asks the repository now, not only every hour'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from sensors" -f -a "list" -d 'Shows the configured sensors with their channels, or with --drivers what there can be; opens nothing'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from sensors" -f -a "read" -d 'Shows values live, with the rate that is reached and its jitter'
complete -c edgerun -n "__fish_edgerun_using_subcommand help; and __fish_seen_subcommand_from sensors" -f -a "record" -d 'Records a sensor into a .csv or .npy file, a camera into a folder: what the drivers `replay` and `pictures`, and training, read'
