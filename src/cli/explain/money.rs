//! What it was estimated at, set aside and charged.

use crate::domain::record::RunRecord;

use super::words::usd;

pub(super) fn tell(record: &RunRecord) -> String {
    let (estimate, hold, price) = (record.estimate.get(), record.hold.get(), record.price.get());
    let prices = format!("price book {}", record.price_book);
    let mut text = match (hold, price) {
        (0, _) if estimate == 0 => format!("It cost nothing, and nothing was set aside ({prices})."),
        (0, _) => {
            format!("It cost nothing, and nothing was set aside; it could have cost {} ({prices}).", usd(estimate))
        }
        (_, 0) => format!("It cost nothing; {} had been set aside and was given back ({prices}).", usd(hold)),
        _ => {
            let share = u128::from(price) * 1_000 / u128::from(estimate.max(1));
            let (whole, tenth) = (share / 10, share % 10);
            format!(
                "It was charged {}, which is {whole}.{tenth} % of the {} it was estimated at; {} was set aside until it \
                 ended ({prices}).",
                usd(price),
                usd(estimate),
                usd(hold)
            )
        }
    };
    if record.hold_expired {
        text.push_str(
            " Its hold had expired meanwhile, because the gateway could not renew it, and the operator was charged for \
             it; the settlement has put that right.",
        );
    }
    text
}
