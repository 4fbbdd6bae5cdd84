import Glibc

func sine(_ x: Double) -> Double { sin(x) }
