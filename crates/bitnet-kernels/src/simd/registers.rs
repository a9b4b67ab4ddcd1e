//! Methods of a tier that are one expression of intrinsics, written as a list.

/// `name(argument: Type) -> Type = expression;`
#[cfg(target_arch = "x86_64")]
macro_rules! intrinsics {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)? = $value:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $type),*) $(-> $ret)? {
            // SAFETY: `self` proves the CPU's features; memory operands are arrays of the
            // operation's width.
            unsafe { $value }
        }
    )*};
}

/// The same of arrays of four or eight registers, the number coming first:
/// `name(argument: Type) -> Type, i = expression for register i;`
macro_rules! intrinsics_by_register {
    ($count:tt; $(
        $(#[$doc:meta])*
        $name:ident$(<const $j:ident: usize>)?($($arg:ident: $type:ty),*) -> $ret:ty,
            $i:ident = $value:expr;
    )*) => {$(
        $(#[$doc])*
        #[inline(always)]
        fn $name$(<const $j: usize>)?(self, $($arg: $type),*) -> $ret {
            // SAFETY: `self` proves the CPU's features; what is loaded is a register's part of an
            // array, or a table.
            unsafe { for_registers!($count, $i, $value) }
        }
    )*};
}

macro_rules! for_registers {
    (4, $i:ident, $value:expr) => {
        [
            {
                let $i = 0;
                $value
            },
            {
                let $i = 1;
                $value
            },
            {
                let $i = 2;
                $value
            },
            {
                let $i = 3;
                $value
            },
        ]
    };
    (8, $i:ident, $value:expr) => {
        [
            {
                let $i = 0;
                $value
            },
            {
                let $i = 1;
                $value
            },
            {
                let $i = 2;
                $value
            },
            {
                let $i = 3;
                $value
            },
            {
                let $i = 4;
                $value
            },
            {
                let $i = 5;
                $value
            },
            {
                let $i = 6;
                $value
            },
            {
                let $i = 7;
                $value
            },
        ]
    };
}
