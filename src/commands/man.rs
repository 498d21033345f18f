//! `man`: one page, with every verb on it.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::tell::out;
use crate::trouble::Trouble;

pub(super) fn print() -> Result<u8, Trouble> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let render = |page: &mut Vec<u8>| {
        clap_mangen::Man::new(command.clone()).render(page)?;
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let man = clap_mangen::Man::new(verb.clone());
            page.extend(format!(".SH {}\n", verb.get_name().to_uppercase()).bytes());
            man.render_synopsis_section(page)?;
            man.render_description_section(page)?;
        }
        Ok(())
    };
    render(&mut page).map_err(|e: std::io::Error| Trouble::bug("the man page").because(e))?;
    out::data(&String::from_utf8_lossy(&page));
    Ok(0)
}
