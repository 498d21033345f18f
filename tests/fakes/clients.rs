//! Writers that never stop. Each side has its own three, so that a side that could be written to *is* written to.

use super::machine::{Doing, Machine, Session, Who};
use super::world::State;
use switchover::engine::Side;

/// How clients come in besides the clients' network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pooler {
    pub paused: bool,
    pub to_v2: bool,
}

impl State {
    /// Whether clients send anything to this side now.
    pub fn reached(&self, side: Side) -> bool {
        let by_network = self.kind.by_network && self.on_clients_network[side as usize];
        let by_pooler = self.kind.by_pooler && !self.pooler.paused && self.pooler.to_v2 == (side == Side::V2);
        by_network || by_pooler
    }

    /// Every writer of every side takes one step.
    pub fn churn(&mut self) {
        for side in [Side::V1, Side::V2] {
            if !self.reached(side) {
                continue;
            }
            for writer in 0..3 {
                self.step(side, writer);
            }
        }
    }

    /// Writer 0 commits at once, writer 1 takes its time over a transaction, writer 2 comes anew for every write.
    fn step(&mut self, side: Side, writer: usize) {
        let row = self.next_row;
        let machine = &mut self.sides[side as usize];
        let found = machine.sessions.iter().position(|s| matches!(s.who, Who::Client(w, _) if w == writer));
        let Some(at) = found else {
            if machine.admits() {
                machine.enter(Who::Client(writer, Doing::LoggingIn));
            }
            return;
        };
        let Session { id, who: Who::Client(_, doing) } = machine.sessions[at] else { return };
        let next = match doing {
            Doing::LoggingIn => Doing::Idle,
            Doing::Idle if !machine.leads => Doing::Idle,
            Doing::Idle => {
                machine.next += 1;
                self.next_row += 1;
                if writer == 1 {
                    Doing::InTransaction(row, 2)
                } else {
                    self.commit(side, row);
                    Doing::Idle
                }
            }
            Doing::InTransaction(row, 0) => {
                self.commit(side, row);
                Doing::Idle
            }
            Doing::InTransaction(row, left) => Doing::InTransaction(row, left - 1),
        };
        let machine: &mut Machine = &mut self.sides[side as usize];
        if writer == 2 && doing == Doing::Idle {
            machine.leave(|s| s.id == id);
        } else if let Some(session) = machine.sessions.iter_mut().find(|s| s.id == id) {
            session.who = Who::Client(writer, next);
        }
    }

    pub fn commit(&mut self, side: Side, row: u32) {
        self.sides[side as usize].write(row);
        self.acknowledged.put(row);
        self.acknowledgements[side as usize] += 1;
    }
}
