//! Compares the library with another engine on one module.

use std::fmt::Write as _;

use crate::{
    engine::Engine,
    fitted::{self, Fitted},
    ours::{self, Deployed, Ours, RESETS},
    outcome::{Answer, Ended, Hexadecimal},
    random::Random,
    runs::{self, Run},
    tally::Tally,
};

/// A module and its properties.
pub struct Case<'a> {
    pub seed: u64,
    pub bytes: &'a [u8],
    /// Whether the first argument of each export is a pattern.
    pub has_patterns: bool,
    /// Whether each call is printed.
    pub is_verbose: bool,
}

/// The most differences that are reported of one module.
const TOLD: usize = 3;

/// How one run ended in the library.
struct Execution {
    run: usize,
    is_cold: bool,
    /// Whether it is the second time.
    is_again: bool,
    ended: Vec<Ended>,
}

/// Compares all runs of a module. The text says what differs, and is empty if nothing does.
pub fn compare(case: &Case<'_>, ours: &Ours, oracle: &mut dyn Engine, tally: &mut Tally) -> String {
    let module = match fitted::fit(case.bytes) {
        Ok(module) => module,
        Err(error) => return format!("  the generated module cannot be read: {error}\n"),
    };
    let reset = case.seed as usize % RESETS.len();
    let mut text = String::new();
    match ours.deploy(&module, reset) {
        Deployed::NotTaken(reason) => tally.left_out(reason),
        Deployed::Refused(ended) => {
            let digest = Run { calls: vec![runs::Call { export: module.digest(), args: Vec::new() }] };
            match oracle.answer(&module, &[digest]) {
                Ok(Answer::Lacks(reason)) if !matches!(ended, Ended::Other(_)) => tally.lacks(&reason),
                Ok(Answer::Lacks(reason)) => {
                    let _ = writeln!(text, "  neither takes the module: ours {ended}, theirs {reason}");
                }
                Ok(Answer::Refused(theirs)) if theirs.is(&ended) => tally.refused(&ended),
                Ok(Answer::Refused(theirs)) => {
                    let _ = writeln!(text, "  initialisation: ours {ended}, theirs {theirs}");
                }
                Ok(Answer::Ran(_)) => {
                    let _ = writeln!(text, "  initialisation: ours {ended}, theirs ends well");
                }
                Err(error) => {
                    let _ = writeln!(text, "  initialisation: ours {ended}, theirs {error}");
                }
            }
        }
        Deployed::Function(function) => {
            let mut random = Random::new(case.seed ^ 0x5eed);
            let drawn = runs::draw(&module, case.has_patterns, &mut random);
            let executions = execute(&function, &module, &drawn, &mut random);
            drop(function);
            text = against(case, &module, drawn, &executions, oracle, tally);
        }
    }
    ours.undeploy(reset);
    text
}

/// Makes each run twice, in two orders, on instances that are new or used.
fn execute(function: &dormouse::Function, module: &Fitted, runs: &[Run], random: &mut Random) -> Vec<Execution> {
    let mut executions = Vec::with_capacity(runs.len() * 2);
    let mut order: Vec<usize> = (0..runs.len()).collect();
    for is_again in [false, true] {
        for &run in &order {
            let is_cold = random.below(4) == 0;
            let ended = ours::run(function, module, &runs[run], is_cold);
            executions.push(Execution { run, is_cold, is_again, ended });
        }
        runs::shuffle(&mut order, random);
    }
    executions
}

/// Asks the oracle, and compares.
fn against(
    case: &Case<'_>,
    module: &Fitted,
    mut drawn: Vec<Run>,
    executions: &[Execution],
    oracle: &mut dyn Engine,
    tally: &mut Tally,
) -> String {
    let mut text = String::new();
    let mut told = 0;
    let mut tell = |text: &mut String, execution: &Execution, call: usize, run: &Run, theirs: &str| {
        told += 1;
        if told > TOLD {
            return;
        }
        let Execution { is_cold, is_again, ended, .. } = execution;
        let instance = if *is_cold { "a cold instance" } else { "an instance at hand" };
        let again = if *is_again { ", the second time" } else { "" };
        let _ = writeln!(text, "  on {instance}{again}, reset {:?}:", RESETS[case.seed as usize % RESETS.len()]);
        for (at, (made, ended)) in run.calls.iter().zip(ended).take(call + 1).enumerate() {
            let name = &module.exports[made.export].name;
            let _ = write!(text, "    {name:?}");
            match &made.args[..] {
                [pattern, args @ ..] if case.has_patterns => {
                    let _ = write!(text, " pattern {pattern:#x}, args {:?}", Hexadecimal(args));
                }
                args => {
                    let _ = write!(text, " args {:?}", Hexadecimal(args));
                }
            }
            let _ = writeln!(
                text,
                ": ours {ended}{}",
                if at == call { format!("\n      theirs {theirs}") } else { String::new() }
            );
        }
    };

    // A run can be compared up to where something stops it. It must stop at the same place each
    // time.
    let mut first: Vec<Option<&Execution>> = vec![None; drawn.len()];
    let mut lengths: Vec<usize> = drawn.iter().map(|run| run.calls.len()).collect();
    for execution in executions {
        let stop = execution.ended.iter().position(|ended| matches!(ended, Ended::Stopped(_)));
        let length = stop.unwrap_or(execution.ended.len());
        lengths[execution.run] = lengths[execution.run].min(length);
        if let Some(at) = stop
            && let Ended::Stopped(by) = execution.ended[at]
        {
            tally.skipped(by, drawn[execution.run].calls.len() - at);
        }
        match first[execution.run] {
            None => first[execution.run] = Some(execution),
            Some(before) => {
                if let Some(call) =
                    (0..execution.ended.len()).find(|&at| before.ended.get(at) != Some(&execution.ended[at]))
                {
                    let earlier = before.ended.get(call).map_or("nothing".to_owned(), Ended::to_string);
                    tell(
                        &mut text,
                        execution,
                        call,
                        &drawn[execution.run],
                        &format!("(ours, the first time) {earlier}"),
                    );
                }
            }
        }
    }
    for (run, length) in drawn.iter_mut().zip(&lengths) {
        run.calls.truncate(*length);
    }

    let answers = match oracle.answer(module, &drawn) {
        Ok(Answer::Ran(answers)) => answers,
        Ok(Answer::Lacks(reason)) => {
            tally.lacks(&reason);
            return text;
        }
        Ok(Answer::Refused(Ended::Stopped(by))) => {
            tally.skipped(by, lengths.iter().sum());
            return text;
        }
        Ok(Answer::Refused(theirs)) => {
            let _ = writeln!(text, "  initialisation: ours ends well, theirs {theirs}");
            return text;
        }
        Err(error) => {
            let _ = writeln!(text, "  the oracle fails: {error}");
            return text;
        }
    };
    tally.modules += 1;
    for execution in executions {
        let (run, theirs) = (&drawn[execution.run], &answers[execution.run]);
        for (at, call) in run.calls.iter().enumerate() {
            if let Ended::Stopped(by) = theirs[at] {
                tally.skipped(by, run.calls.len() - at);
                break;
            }
            if case.is_verbose {
                let name = &module.exports[call.export].name;
                println!("{name:?} {:?}: ours {}, theirs {}", Hexadecimal(&call.args), execution.ended[at], theirs[at]);
            }
            tally.compared(&execution.ended[at]);
            tally.digests += u64::from(call.export == module.digest());
            if !execution.ended[at].is(&theirs[at]) {
                tell(&mut text, execution, at, run, &theirs[at].to_string());
                break;
            }
        }
    }
    if told > TOLD {
        let _ = writeln!(text, "  and {} more", told - TOLD);
    }
    text
}
